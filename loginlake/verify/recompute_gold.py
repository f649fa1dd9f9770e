"""Gold recomputed from the recomputed events.

The metrics are computed by SQL that was written from docs/tables.md and shares no code with gold. The rules run as they
are, over all events in one process, without Spark; each rule is compared with an independent loop in its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from gold.rules import Rules
from gold.rules.evaluate_baselines import detect_all
from lakehouse.tables.gold import DETECTIONS, FIRST_SEEN, RETRACTED
from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS, FAILURE_REASONS
from loginlake.verify.columns import unfilled_columns, unfilled_note
from loginlake.verify.duckdb_engine import Engine, batches_of
from loginlake.verify.pinned import PinnedLake
from loginlake.verify.report import Check, catch_unreadable, check
from loginlake.verify.silver_to_gold import REBUILD_GOLD

CLAIM = "{} equals its recomputation from bronze"
_REASONS = ", ".join(
    f"coalesce(sum(times) FILTER (failed AND failure_reason = '{reason}'), 0) AS failures_{reason}"
    for reason in FAILURE_REASONS
)
BASE = f"""
CREATE TABLE base AS
WITH counted AS (
    SELECT *, action = 'login' AS is_login,
        action = 'login' AND outcome IS NOT DISTINCT FROM 'success' AS succeeded,
        action = 'login' AND outcome IS NOT DISTINCT FROM 'failure' AS failed
    FROM expected WHERE verdict = 'accepted' AND action IN ('login', 'probe', 'lockout')
)
SELECT date_trunc('hour', event_at) AS window_at, CAST(event_at AS DATE) AS window_on, app, username, src_ip,
    coalesce(sum(times) FILTER (is_login), 0) AS attempts,
    coalesce(sum(times) FILTER (succeeded), 0) AS successes,
    coalesce(sum(times) FILTER (failed), 0) AS failures,
    {_REASONS},
    coalesce(sum(times) FILTER (action = 'probe'), 0) AS probes,
    coalesce(sum(times) FILTER (action = 'lockout'), 0) AS lockouts,
    coalesce(sum(times) FILTER (succeeded AND is_mfa), 0) AS mfa_successes,
    min(event_at) AS first_at, max(event_at) AS last_at,
    max(event_at) FILTER (succeeded) AS last_success_at, max(event_at) FILTER (failed) AS last_failure_at,
    max(country) AS country, bool_or(is_private) AS is_private
FROM counted GROUP BY ALL
"""  # noqa: S608 (reasons are declared)


def _distinct(column: str, measure: str) -> str:
    """Return SQL that counts the distinct values of rows whose measure is above zero; null counts as a value."""
    return (
        f"count(DISTINCT {column}) FILTER ({measure} > 0)"
        f" + CAST(coalesce(bool_or({column} IS NULL) FILTER ({measure} > 0), false) AS INTEGER)"
    )


_DAY = "CREATE TABLE {name} AS SELECT CAST(window_on AS TIMESTAMP) AS window_at, window_on, "
_SUMS = "sum(attempts) AS attempts, sum(successes) AS successes, sum(failures) AS failures, sum(probes) AS probes, "
_RATE = "CASE WHEN sum(attempts) > 0 THEN sum(failures)::DOUBLE / sum(attempts)::DOUBLE END AS failure_rate, "
METRICS = {
    "ip_activity": f"""{_DAY.format(name="ip_activity")} src_ip, {_SUMS} {_RATE}
        {_distinct("username", "attempts")} AS users, {_distinct("username", "failures")} AS users_failed,
        {_distinct("app", "attempts")} AS apps, sum(lockouts) AS lockouts,
        max(country) AS country, bool_or(is_private) AS is_private, min(first_at) AS first_at, max(last_at) AS last_at
        FROM base GROUP BY ALL""",
    "user_activity": f"""{_DAY.format(name="user_activity")} username, {_SUMS} {_RATE}
        {_distinct("src_ip", "attempts")} AS ips, {_distinct("country", "attempts")} AS countries,
        {_distinct("app", "attempts")} AS apps, sum(lockouts) AS lockouts,
        max(last_success_at) AS last_success_at, max(last_failure_at) AS last_failure_at
        FROM base GROUP BY ALL""",
    "app_activity": f"""{_DAY.format(name="app_activity")} app, {_SUMS}
        {_distinct("username", "successes")} AS active_users, {_distinct("src_ip", "successes")} AS active_ips,
        CASE WHEN sum(successes) > 0 THEN sum(mfa_successes)::DOUBLE / sum(successes)::DOUBLE END AS mfa_rate
        FROM base GROUP BY ALL""",
}
FIRSTS = """
CREATE TABLE first_seen AS
SELECT username, kind, value, min(event_at) AS first_at, CAST(min(event_at) AS DATE) AS first_on
FROM (
    SELECT username, event_at, unnest(['src_ip', 'country', 'agent', 'app']) AS kind,
        unnest([src_ip, country, agent_family, app]) AS value
    FROM expected WHERE verdict = 'accepted' AND action = 'login' AND outcome = 'success'
)
GROUP BY username, kind, value
"""
ACCEPTED = "SELECT * FROM expected WHERE verdict = 'accepted'"


def gold_checks(engine: Engine, lake: PinnedLake, *, rules: Rules) -> Iterator[Check]:
    """Compare every gold table with what the recomputed events give.

    Args:
        engine: Has the table `expected`, the recomputed silver.
        lake: Reads gold at the snapshot.
        rules: The rules with their thresholds.
    """
    engine.run(BASE)
    compare = partial(_table_check, engine, lake)
    yield from _comparison(lake, PAIR_ACTIVITY, compare=partial(compare, table=PAIR_ACTIVITY, expected="base"))
    for metric in STORED_METRICS:
        engine.run(METRICS[metric.name])
        yield from _comparison(lake, metric.table, compare=partial(compare, table=metric.table, expected=metric.name))
    engine.run(FIRSTS)
    yield from _comparison(lake, FIRST_SEEN, compare=partial(compare, table=FIRST_SEEN, expected="first_seen"))
    yield from _comparison(lake, DETECTIONS, compare=partial(_detections_check, engine, lake, rules=rules))


def _comparison(lake: PinnedLake, table: Table, *, compare: Callable[[], Check]) -> Iterator[Check]:
    """Yield the result of a comparison; none if the snapshot is older than the table, which another check reports."""
    if not lake.is_older_than(table):
        yield from catch_unreadable(CLAIM.format(table.full_name), lambda: [compare()])


def _table_check(engine: Engine, lake: PinnedLake, *, table: Table, expected: str) -> Check:
    live = f"live_{table.name}"
    engine.load(live, table, batches=batches_of(lake.rows(table), table))
    return _compare(engine, lake, table=table, live=live, expected=expected)


def _detections_check(engine: Engine, lake: PinnedLake, *, rules: Rules) -> Check:
    """Compare the detections with those of the rules over all recomputed events, in one process.

    Detections that are retracted, or of an earlier version of their rule, are not compared.
    """
    recomputed = detect_all(engine.frame(ACCEPTED, EVENTS).lazy(), rules)
    engine.load("recomputed", DETECTIONS, batches=iter(recomputed.to_batches()))
    engine.load("live_detections", DETECTIONS, batches=batches_of(lake.rows(DETECTIONS), DETECTIONS))
    is_earlier = " OR ".join(f"(rule = '{rule.name}' AND rule_version < {rule.version})" for rule in rules)
    notes = [
        *_set_aside(engine, f"status = '{RETRACTED}'", what="retracted detections"),
        *(earlier := _set_aside(engine, is_earlier, what="detections of earlier versions of their rules")),
    ]
    if earlier:
        # Which version evaluated which day is not recorded, so only detections of today's version can be compared.
        engine.run("DELETE FROM recomputed WHERE detection_id NOT IN (SELECT detection_id FROM live_detections)")
    return _compare(engine, lake, table=DETECTIONS, live="live_detections", expected="recomputed", notes=notes)


def _set_aside(engine: Engine, condition: str, *, what: str) -> list[str]:
    """Delete live detections that can't be compared; return a note on them, or none if there are none."""
    count = engine.count(f"SELECT count(*) FROM live_detections WHERE {condition}")  # noqa: S608 (words of ours)
    if not count:
        return []
    engine.run(f"DELETE FROM live_detections WHERE {condition}")  # noqa: S608 (words of ours)
    return [f"{count:,} {what} are not compared"]


def _compare(  # noqa: PLR0913 (two tables and where they are)
    engine: Engine, lake: PinnedLake, *, table: Table, live: str, expected: str, notes: Sequence[str] = ()
) -> Check:
    recomputed = engine.columns(expected)
    columns = [name for name in table.column_names if name in recomputed]
    unfilled = {
        column: engine.clear_where_null(expected, live, key=table.key, column=column)
        for column in unfilled_columns(lake, table)
        if column in recomputed
    }
    found = engine.differences(live, expected, key=table.key, columns=columns)
    return check(
        CLAIM.format(table.full_name),
        found.details,
        checked=found.rows,
        count=found.differing,
        hint=REBUILD_GOLD,
        notes=[
            *notes,
            *(f"{name} is not recomputed" for name in table.column_names if name not in recomputed),
            *(unfilled_note(name, rows, command="loginlake rebuild gold") for name, rows in unfilled.items() if rows),
        ],
    )
