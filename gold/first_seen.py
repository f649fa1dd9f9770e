"""The table gold.first_seen, updated for the values that changed events touch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, TypeAlias

import narwhals.stable.v2 as nw
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes, days_per_commit
from gold.transforms.first_seen import KEY, as_rows, first_seen, updated_values
from lakehouse.joins import anti_join, semi_join
from lakehouse.lake import Lake
from lakehouse.steps import step
from lakehouse.tables.gold import FIRST_SEEN

# Rows with the columns of `KEY`; `old_at`, the published first login, and `first_at`, the new one. Null: there is none.
Values: TypeAlias = DataFrame


class FirstLogins(NamedTuple):
    """The first logins of the users that changed events touch.

    Attributes:
        values: All values of these users, computed.
        changed_days: The days on which a first login is new, moved, or gone.
    """

    values: Values
    changed_days: Sequence[date]

    @property
    def changed(self) -> Values:
        """The values whose first login is new, moved, or gone."""
        return self.values.where(_is_changed())


@step("Finding first logins")
def overwrite_first_seen(lake: Lake, changes: Changes) -> None:
    """Write all rows of gold.first_seen."""
    lake.overwrite(FIRST_SEEN, first_seen(changes.events))


@step("Finding first logins")
def find_first_logins(lake: Lake, changes: Changes) -> FirstLogins:
    """Return the first logins, before and after the changes, of the users that these touch."""
    published = semi_join(lake.read(FIRST_SEEN), changes.feed, on=("username",))
    values: Values = lake.checkpoint(updated_values(changes.feed, published))
    days = F.explode(F.array(F.to_date("old_at"), F.to_date("first_at"))).alias("day")
    changed = values.where(F.col("is_lost") | _is_changed()).select("is_lost", days).distinct().collect()
    if any(row["is_lost"] for row in changed):
        values = lake.checkpoint(_looked_up(values, changes.events))
        changed = values.where(_is_changed()).select(days).distinct().collect()
    return FirstLogins(values, sorted({row["day"] for row in changed if row["day"] is not None}))


@step("Finding first logins")
def write_first_seen(lake: Lake, logins: FirstLogins) -> None:
    """Write the days on which a first login changed. Most refreshes find few new values, or none."""
    changed = logins.changed
    firsts: DataFrame = as_rows(nw.from_native(changed.where("first_at IS NOT NULL")).lazy())
    for days in days_per_commit(logins.changed_days):
        on_days = F.col("first_on").isin(days)
        others = anti_join(lake.read(FIRST_SEEN).where(on_days), changed, on=KEY)
        lake.replace_days(FIRST_SEEN, others.unionByName(firsts.where(on_days)), days=days)


def _looked_up(values: Values, events: DataFrame) -> Values:
    """Return the values with the first logins in the events for those whose first login may have been removed."""
    is_lost = F.col("is_lost")
    lost = values.where(is_lost)
    of_users = semi_join(events, lost, on=("username",))
    found = semi_join(first_seen(of_users), lost, on=KEY)
    kept = values.select(*KEY, "old_at", F.when(~is_lost, F.col("first_at")).alias("first_at"))
    # Grouped and not joined: a join would not find the values that are null.
    both = kept.unionByName(found.select(*KEY, "first_at"), allowMissingColumns=True)
    return both.groupBy(*KEY).agg(F.min("old_at").alias("old_at"), F.min("first_at").alias("first_at"))


def _is_changed() -> Column:
    return ~F.col("first_at").eqNullSafe(F.col("old_at"))
