"""Gold again from the recomputed events: SQL written from docs/tables.md, sharing no code with gold's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gold.transforms.detections import BruteForceIp
from lakehouse.snapshots import Snapshot
from lakehouse.tables.gold import DETECTIONS, PAIR_ACTIVITY, STORED_METRICS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import FAILURE_REASONS
from loginlake.verify.brute_force import detections_of
from loginlake.verify.engine import Engine, batches_of
from loginlake.verify.readable import readable
from loginlake.verify.report import Check, check
from loginlake.verify.scope import Scope
from loginlake.verify.sums import REBUILD

CLAIM = "{} is what bronze gives when it is computed again"
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
    """Distinct values where the measure is above zero; null is a value."""
    return (
        f"count(DISTINCT {column}) FILTER ({measure} > 0)"
        f" + CAST(coalesce(bool_or({column} IS NULL) FILTER ({measure} > 0), false) AS INTEGER)"
    )


_DAY = "CREATE TABLE {name} AS SELECT CAST(window_on AS TIMESTAMP) AS window_at, window_on, "
_SUMS = "sum(attempts) AS attempts, sum(successes) AS successes, sum(failures) AS failures, "
_RATE = "CASE WHEN sum(attempts) > 0 THEN sum(failures)::DOUBLE / sum(attempts)::DOUBLE END AS failure_rate, "
METRICS = {
    "ip_activity": f"""{_DAY.format(name="ip_activity")} src_ip, {_SUMS} {_RATE}
        {_distinct("username", "attempts")} AS users, {_distinct("username", "failures")} AS users_failed,
        {_distinct("app", "attempts")} AS apps, max(country) AS country, bool_or(is_private) AS is_private,
        min(first_at) AS first_at, max(last_at) AS last_at
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
FAILURES = """
SELECT src_ip, event_at, times, username, (topic, partition, "offset") FROM expected
WHERE verdict = 'accepted' AND action = 'login' AND outcome = 'failure' AND src_ip IS NOT NULL
ORDER BY src_ip, event_at, topic, partition, "offset"
"""


def gold_checks(engine: Engine, scope: Scope, *, snapshot: Snapshot, thresholds: BruteForceIp) -> Iterator[Check]:
    """Every gold table is what the recomputed events give.

    Args:
        engine: Has the table `expected`.
        scope: Reads gold.
        snapshot: At whose versions.
        thresholds: Of the rule.
    """
    engine.run(BASE)
    yield from _table_checks(engine, scope, snapshot=snapshot, table=PAIR_ACTIVITY, expected="base")
    for metric in STORED_METRICS:
        engine.run(METRICS[metric.name])
        yield from _table_checks(engine, scope, snapshot=snapshot, table=metric.table, expected=metric.name)
    yield from readable(
        CLAIM.format(DETECTIONS.full_name),
        lambda: [detections_check(engine, scope, snapshot=snapshot, thresholds=thresholds)],
    )


def _table_checks(engine: Engine, scope: Scope, *, snapshot: Snapshot, table: Table, expected: str) -> Iterator[Check]:
    live = f"live_{table.name}"

    def check() -> Iterator[Check]:
        engine.load(live, table, batches=batches_of(scope.rows(table, snapshot), table))
        yield _compared(engine, table, live=live, expected=expected)

    yield from readable(CLAIM.format(table.full_name), check)


def detections_check(engine: Engine, scope: Scope, *, snapshot: Snapshot, thresholds: BruteForceIp) -> Check:
    """The detections are those of the rule, but for those that a former version of the rule found."""
    import pyarrow as pa

    found = list(detections_of(engine.rows(FAILURES), thresholds))
    schema = DETECTIONS.arrow_schema()
    engine.load("found", DETECTIONS, batches=iter(pa.Table.from_pylist(found, schema=schema).to_batches()))
    engine.load("live_detections", DETECTIONS, batches=batches_of(scope.rows(DETECTIONS, snapshot), DETECTIONS))
    earlier = f"rule = 'brute_force_ip' AND rule_version < {thresholds.version}"
    former = engine.count(f"SELECT count(*) FROM live_detections WHERE {earlier}")  # noqa: S608 (a number)
    if former:
        # Which days each version judged is not noted: only what today's version found can be held against it.
        engine.run(f"DELETE FROM live_detections WHERE {earlier}")  # noqa: S608 (a number)
        engine.run("DELETE FROM found WHERE detection_id NOT IN (SELECT detection_id FROM live_detections)")
    notes = [f"{former:,} found by an earlier version of the rule, not compared"] if former else []
    return _compared(engine, DETECTIONS, live="live_detections", expected="found", notes=notes)


def _compared(engine: Engine, table: Table, *, live: str, expected: str, notes: Any = ()) -> Check:
    found = engine.differences(live, expected, key=table.key, columns=table.column_names)
    return check(
        CLAIM.format(table.full_name),
        found.named,
        checked=found.rows,
        count=found.differing,
        hint=REBUILD,
        notes=notes,
    )
