"""The table gold.first_seen, updated for the values that changed events touch."""

from __future__ import annotations

from datetime import date
from typing import TypeAlias

import narwhals.stable.v2 as nw
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)

from gold.changes import Changes, days_per_commit
from gold.transforms.first_seen import KEY, as_rows, changed_values, first_seen
from lakehouse.lake import Lake, anti_join, semi_join
from lakehouse.steps import step
from lakehouse.tables.gold import FIRST_SEEN

# Rows of gold.first_seen.
Firsts: TypeAlias = DataFrame
# Rows as `changed_values` returns them.
ChangedValues: TypeAlias = DataFrame


@step("Finding first logins")
def overwrite_first_seen(lake: Lake, changes: Changes) -> None:
    """Write all rows of gold.first_seen."""
    lake.overwrite(FIRST_SEEN, first_seen(changes.events))


@step("Finding first logins")
def update_first_seen(lake: Lake, changes: Changes) -> list[date]:
    """Write the days on which a first login is new, moved, or gone; return these days.

    Most refreshes find few new values, or none, and then write nothing.
    """
    if not changes.summary.metric_days:
        return []
    known = semi_join(lake.read(FIRST_SEEN), first_seen(changes.feed), on=KEY)
    changed: ChangedValues = lake.checkpoint(changed_values(changes.feed, known))
    firsts = _new_firsts(lake, changes, changed=changed)
    changed_days = _days(changed, firsts)
    for days in days_per_commit(changed_days):
        others = anti_join(lake.read(FIRST_SEEN).where(F.col("first_on").isin(days)), changed, on=KEY)
        lake.replace_days(FIRST_SEEN, others.unionByName(firsts.where(F.col("first_on").isin(days))), days=days)
    return changed_days


def _new_firsts(lake: Lake, changes: Changes, *, changed: ChangedValues) -> Firsts:
    """Return the new rows of the changed values; those whose first login was removed are looked up in all events."""
    firsts: Firsts = as_rows(nw.from_native(changed.where(~F.col("is_lost"))).lazy())
    lost = changed.where("is_lost")
    if lost.isEmpty():
        return firsts
    of_users = semi_join(changes.events, lost.select("username").distinct(), on=("username",))
    return lake.checkpoint(firsts.unionByName(semi_join(first_seen(of_users), lost, on=KEY)))


def _days(changed: ChangedValues, firsts: Firsts) -> list[date]:
    """Return the days on which a first login is or was."""
    days = changed.select(F.to_date("old_at").alias("day")).union(firsts.select("first_on"))
    return [row["day"] for row in days.where("day IS NOT NULL").distinct().collect()]
