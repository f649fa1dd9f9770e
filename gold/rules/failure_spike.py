"""The rule failure_spike: far more logins to an app fail in an hour than in the same hour of other days."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.baseline import Baseline, BaselineRule
from gold.rules.measures import OCCURRENCES, distinct
from gold.rules.signals import FAILURES
from gold.rules.sources import ELASTIC_ML, NIST_OUTLIERS

# 0.6745 times a distance from the median, divided by the median distance, is a modified z-score [NIST].
CONSISTENCY = 0.6745
DAY = timedelta(days=1)
HOUR = ("entity", "hour_at")


class FailureSpike(BaselineRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """More logins to an app fail in an hour than is usual in this hour of the day.

    Usual is the median of the same hour on the `days` days before. The modified z-score of the hour must be greater
    than `z_score`; the median distance counts as 1, at least, so that a quiet app needs some failures too.
    """

    name = "failure_spike"
    entity = "app"
    select = FAILURES
    measures = (
        OCCURRENCES.alias("failures"),
        distinct("username").alias("users"),
        distinct("src_ip").alias("ips"),
    )
    sources = (f"{ELASTIC_ML}/credential_access_ml_auth_spike_in_failed_logon_events.toml", NIST_OUTLIERS)
    false_alarms = "An outage of the directory; a job with an expired password; the first login after a holiday."

    days: Annotated[int, Meta(ge=7, le=90, description="Days before the hour that are the baseline.")]
    z_score: Annotated[float, Meta(gt=0, description="The modified z-score is greater than this.")]
    failures: Annotated[int, Meta(ge=1, description="Failures in the hour, at least.")]

    @property
    def days_back(self) -> int:
        """The days of the baseline."""
        return self.days

    def find(self, baseline: Baseline) -> pl.DataFrame:
        """Return the failures of the hours with a spike; the rule fires at those from the first one too many."""
        many = baseline.hours.filter(pl.col("occurrences") >= self.failures)
        at = pl.col("event_at").dt.truncate("1h").alias("hour_at")
        judged = baseline.judged.with_columns(at)
        many = many.join(judged.select(HOUR).unique(), on=HOUR, how="semi")
        limits = self._limits(self._with_baseline(many, baseline.hours), baseline.hours)
        so_far = pl.col("times").cum_sum().over(HOUR)
        found = judged.join(limits, on=HOUR, how="inner", maintain_order="left").with_columns(
            is_hit=(so_far > pl.col("limit")) & (so_far >= self.failures)
        )
        return found.filter(pl.col("is_hit").any().over(HOUR)).drop("hour_at", "limit")

    def _with_baseline(self, hours: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
        """Return the hours of apps that are not new: with a failure in the older half of the days before."""
        older = history.select("entity", older_at="hour_at").sort("older_at")
        latest = hours.with_columns(bound=pl.col("hour_at") - self.days * DAY / 2).sort("bound")
        found = latest.join_asof(older, left_on="bound", right_on="older_at", by="entity", check_sortedness=False)
        return found.filter(pl.col("hour_at") - pl.col("older_at") <= self.days * DAY)

    def _limits(self, hours: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
        """Return for each hour how many failures are not yet a spike; a day without failures counts as zero."""
        days_before = pl.concat(
            [hours.select(*HOUR, before_at=pl.col("hour_at") - distance * DAY) for distance in range(1, self.days + 1)]
        )
        counts = days_before.join(
            history.rename({"hour_at": "before_at"}), on=["entity", "before_at"], how="left"
        ).with_columns(pl.col("occurrences").fill_null(0))
        median = pl.col("occurrences").median()
        distances = counts.with_columns(median=median.over(HOUR)).with_columns(
            distance=(pl.col("occurrences") - pl.col("median")).abs()
        )
        spread = pl.max_horizontal(pl.col("distance").median(), pl.lit(1.0))
        return distances.group_by(HOUR).agg(limit=pl.col("median").first() + self.z_score / CONSISTENCY * spread)
