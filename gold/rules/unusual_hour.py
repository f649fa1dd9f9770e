"""The rule unusual_hour: a user logs in at a time of day at which the user never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.baseline import SUCCESSES_AND_IPS, Baseline, BaselineRule
from gold.rules.signals import SUCCESSES
from gold.rules.sources import ELASTIC_ML

HOURS_OF_DAY = 24
DAY = timedelta(days=1)
# A user and a day.
USER_DAY = ("entity", "day")


class UnusualHour(BaselineRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in at a time of day (UTC) that is not near any of the user's logins on the `days` days before.

    The source is a model of the times of day; its thresholds are not published. A z-score would not do: the logins of
    a working day spread so far around their median that no hour of the night has a high score.
    """

    name = "unusual_hour"
    entity = "username"
    select = SUCCESSES
    measures = SUCCESSES_AND_IPS
    sources = (f"{ELASTIC_ML}/initial_access_ml_auth_rare_hour_for_a_user_to_logon.toml",)
    false_alarms = "A user who works late once, changes shift, or travels to another time zone."

    days: Annotated[int, Meta(ge=1, le=90, description="Days before the login that are the baseline.")]
    user_days: Annotated[int, Meta(ge=0, le=90, description="The user first logged in at least so many days before.")]
    logins: Annotated[int, Meta(ge=1, description="Logins on these days, at least; with fewer, no hour is unusual.")]
    hours: Annotated[
        int, Meta(ge=0, le=11, description="Logins up to so many hours of the day earlier or later are near.")
    ]

    @property
    def days_back(self) -> int:
        """The days of the baseline, or those for which a user is new."""
        return max(self.days, self.user_days)

    def find(self, baseline: Baseline) -> pl.DataFrame:
        """Return the logins in unusual hours."""
        at = pl.col("event_at")
        judged = baseline.judged.with_columns(day=at.dt.date(), hour=at.dt.hour().cast(pl.Int64))
        known_at = baseline.firsts.group_by("entity").agg(known_at=pl.col("first_at").min())
        judged = judged.join(known_at, on="entity", maintain_order="left")
        judged = judged.filter(at - pl.col("known_at") >= self.user_days * DAY)
        slots = judged.select(*USER_DAY, "hour").unique()
        history = baseline.hours.select(
            "entity", "occurrences", day=pl.col("hour_at").dt.date(), hour=pl.col("hour_at").dt.hour().cast(pl.Int64)
        )
        enough = self._users_with_baseline(slots.select(USER_DAY).unique(), history)
        unusual = self._without_neighbours(slots.join(enough, on=USER_DAY, how="semi"), history)
        found = judged.join(unusual, on=(*USER_DAY, "hour"), how="semi", maintain_order="left")
        return found.drop("day", "hour", "known_at").with_columns(is_hit=pl.lit(value=True))

    def _users_with_baseline(self, user_days: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
        """Return the users and days before which there are enough logins."""
        totals = (
            history.group_by(USER_DAY)
            .agg(pl.col("occurrences").sum())
            .sort("day")
            .with_columns(total=pl.col("occurrences").cum_sum().over("entity"))
            .drop("occurrences")
        )
        bounds = user_days.with_columns(last=pl.col("day") - DAY, before=pl.col("day") - (self.days + 1) * DAY)
        for name in ("last", "before"):
            bounds = bounds.sort(name).join_asof(
                totals.rename({"day": f"{name}_day", "total": f"{name}_total"}),
                left_on=name,
                right_on=f"{name}_day",
                by="entity",
                check_sortedness=False,
            )
        logins = pl.col("last_total").fill_null(0) - pl.col("before_total").fill_null(0)
        return bounds.filter(logins >= self.logins).select(USER_DAY)

    def _without_neighbours(self, slots: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
        """Return the slots, an hour of a user's day each, without a login near that hour on the days before."""
        days_of_hour = history.select("entity", "hour", last_day="day").unique().sort("last_day")
        near = pl.concat(
            slots.with_columns(near=(pl.col("hour") + distance) % HOURS_OF_DAY, before=pl.col("day") - DAY)
            for distance in range(-self.hours, self.hours + 1)
        )
        last_days = near.sort("before").join_asof(
            days_of_hour,
            left_on="before",
            right_on="last_day",
            by_left=["entity", "near"],
            by_right=["entity", "hour"],
            check_sortedness=False,
        )
        last_day = pl.col("last_day").max()
        return (
            last_days.group_by(*USER_DAY, "hour")
            .agg(last_day)
            .filter(pl.col("last_day").is_null() | (pl.col("last_day") < pl.col("day") - self.days * DAY))
        )
