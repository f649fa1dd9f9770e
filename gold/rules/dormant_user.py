"""The rule dormant_user: a user logs in after a long time without any login."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import polars as pl
from msgspec import Meta

from gold.rules.baseline import SUCCESSES_AND_IPS, Baseline, BaselineRule
from gold.rules.signals import SUCCESSES
from gold.rules.sources import ELASTIC_ML


class DormantUser(BaselineRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in who had not logged in for `days` days, counted by the hour, and had logged in before that.

    Its severity is low, because a user who returns from a long leave looks the same.
    """

    name = "dormant_user"
    entity = "username"
    select = SUCCESSES
    measures = SUCCESSES_AND_IPS
    sources = (f"{ELASTIC_ML}/initial_access_ml_auth_rare_user_logon.toml",)
    false_alarms = "A user who returns from a long leave; an account for a yearly task."

    days: Annotated[int, Meta(ge=1, le=90, description="Days without a successful login, at least.")]

    @property
    def days_back(self) -> int:
        """One day more than the silence, which can begin in the middle of a day."""
        return self.days + 1

    def find(self, baseline: Baseline) -> pl.DataFrame:
        """Return the logins of the first hour after the silence."""
        silence = timedelta(days=self.days)
        known_at = baseline.firsts.group_by("entity").agg(known_at=pl.col("first_at").min())
        before_at = pl.col("hour_at").shift(1).over("entity", order_by="hour_at")
        returned = (
            baseline.hours.with_columns(before_at=before_at)
            .filter(pl.col("before_at").is_null() | (pl.col("hour_at") - pl.col("before_at") >= silence))
            .join(known_at, on="entity")
            .filter(pl.col("known_at") < pl.col("hour_at") - silence + timedelta(hours=1))
        )
        hour_at = pl.col("event_at").dt.truncate("1h").alias("hour_at")
        found = baseline.judged.with_columns(hour_at).join(
            returned, on=["entity", "hour_at"], how="semi", maintain_order="left"
        )
        return found.with_columns(is_hit=pl.lit(value=True))
