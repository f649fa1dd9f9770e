"""The rules new_country, new_ip and new_agent: a user logs in with a value for the first time."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

import polars as pl
from msgspec import Meta

from gold.rules.baseline import SUCCESSES_AND_IPS, Baseline, BaselineRule
from gold.rules.signals import SUCCESSES
from gold.rules.sources import OKTA_BEHAVIORS


class NewValueRule(BaselineRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule over the values of one kind in gold.first_seen.

    Attributes:
        kind: The kind of the values.
        column: The column of silver.events that has them.
    """

    entity = "username"
    select = SUCCESSES
    measures = SUCCESSES_AND_IPS
    sources = (OKTA_BEHAVIORS,)
    kind: ClassVar[str]
    column: ClassVar[str]

    user_days: Annotated[int, Meta(ge=1, le=90, description="The user first logged in at least so many days before.")]

    @property
    def days_back(self) -> int:
        """A user's first login decides for so many days whether new values are reported."""
        return self.user_days

    def find(self, baseline: Baseline) -> pl.DataFrame:
        """Return the first login with each new value."""
        known_at = baseline.firsts.group_by("entity").agg(known_at=pl.col("first_at").min())
        new = (
            baseline.firsts.filter((pl.col("kind") == self.kind) & pl.col("value").is_not_null())
            .join(known_at, on="entity")
            .filter(pl.col("first_at") - pl.col("known_at") >= timedelta(days=self.user_days))
            .select("entity", pl.col("value").alias(self.column), pl.col("first_at").alias("event_at"))
        )
        found = baseline.judged.join(new, on=["entity", self.column, "event_at"], how="semi", maintain_order="left")
        return found.with_columns(is_hit=pl.lit(value=True))


class NewCountry(NewValueRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in from a country for the first time.

    The source compares with the last logins of the user; here all logins in the lake count, so that each country is
    reported once. An address without a country, such as a private one, is never reported.
    """

    name = "new_country"
    kind = column = "country"
    false_alarms = "A user who travels; a VPN with an exit in another country."


class NewIp(NewValueRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in from an address for the first time.

    As `new_country`: each address of a user is reported once.
    """

    name = "new_ip"
    kind = column = "src_ip"
    false_alarms = "Every user whose provider assigns addresses dynamically, every trip."


class NewAgent(NewValueRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user logs in with another family of client software, such as another browser, for the first time.

    As `new_country`: each family is reported once. The source compares devices.
    """

    name = "new_agent"
    kind, column = "agent", "agent_family"
    false_alarms = "A user who installs another browser or gets a new phone."
