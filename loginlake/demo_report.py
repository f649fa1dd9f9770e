"""The demo's report: planted and detected attacks, addresses with most failures, row counts, commands to try next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.options import option_name
from loginlake.commands.output import print_rows
from loginlake.scoring import DEFINITIONS, Attacked, Score, Severities, score, summary
from loginlake.terminal import output_console, print_table
from loginlake.truths import covered

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.settings import Settings
    from lakehouse.snapshots import Snapshot
    from loginlake.verify import Report
    from producer.ground_truth import TruthFile
    from serving.store import Store

# Settings with which another command finds the same lake, the same broker, and serves at the same address.
LAKE_SETTINGS = ("root", "conf")
BROKER_SETTINGS = (*LAKE_SETTINGS, "state", "kafka", "kafka_port", "topic")
API_SETTINGS = (*BROKER_SETTINGS, "host", "port", "allow_unauthenticated")
TOP_ADDRESSES = """
select src_ip, country, sum(failures) as failures, sum(successes) as successes
from ip_activity where failures > 0
group by src_ip, country order by failures desc, src_ip limit 5
"""
# In the alphabet, critical, high and medium are in the order of severity.
WORST_ATTACKS = """
select fired_at, severity, rule, entity, case when worked then 'yes' else 'no' end as worked
from attacks where severity <> 'low' order by worked desc, severity, fired_at desc, detection_id limit 8
"""
WORST_ATTACKS_QUERY = "query attacks --where 'severity!=low' --order-by=-worked,severity,-fired_at --limit 8"
ATTACKS = "select count(*) as n from attacks where severity <> 'low'"
VERDICTS = "select verdict, count(*) as n from events group by verdict"


FIRST_FIGURES = """
select sum(attempts) as attempts, sum(failures) as failures, count(distinct src_ip) as addresses from ip_activity
"""


@dataclass(frozen=True)
class Scenario:
    """The planted attacks of one kind.

    Attributes:
        name: Name of the kind.
        rules: The rules that must find it.
        planted: Number of planted attacks.
        found: Number of them that one of the rules found.
    """

    name: str
    rules: tuple[str, ...]
    planted: int
    found: int


def scenarios(score: Score) -> list[Scenario]:
    """Return how many of the planted attacks of each kind were found, most found first."""
    by_name: dict[str, list[Attacked]] = defaultdict(list)
    for attack in score.attacks:
        by_name[attack.case.scenario].append(attack)
    rows = [
        Scenario(name, attacks[0].rules, len(attacks), sum(bool(attack.found) for attack in attacks))
        for name, attacks in by_name.items()
    ]
    return sorted(rows, key=lambda row: (-row.found, -row.planted, row.name))


def print_first_figures(store: Store, console: Console, *, url: str) -> None:
    """Print the snapshot that has just been published, its size in logins, and where the API answers."""
    from serving.sql import sql_answer

    snapshot = store.snapshot()
    ((attempts, failures, addresses),) = sql_answer(FIRST_FIGURES, store, snapshot=snapshot).rows()
    console.print(f"Snapshot {snapshot.id}: {attempts:,} logins, {failures:,} of them failed, {addresses:,} addresses")
    console.print(f"The API answers now: {url}/docs")


def print_report(store: Store, *, report: Report, truths: Mapping[Path, TruthFile], severities: Severities) -> None:
    """Print planted and detected attacks, addresses with most failures, and row counts of the last snapshot.

    Args:
        store: The lake.
        report: Result of `verify`.
        truths: The ground truth files of the lake.
        severities: The severity of each rule that gold runs.
    """
    from lakehouse.tables.gold import DETECTIONS
    from serving.sql import sql_answer

    snapshot = store.snapshot()
    result = score(list(truths.values()), store.rows(DETECTIONS, snapshot).collect().to_dicts(), severities=severities)
    print_table(
        "planted attack", "planted", "found", "by the rule",
        title="Planted attacks that a rule looks for",
        rows=[(row.name, row.planted, row.found, " or ".join(row.rules)) for row in scenarios(result)],
    )  # fmt: skip
    if truths:
        output_console().print(covered(truths))
        output_console().print(f"{summary(result)}\n{DEFINITIONS}")
    complete = [attack for truth in truths.values() for attack in truth.attacks if attack.is_complete]
    if others := len(complete) - len(result.attacks):
        output_console().print(f"{others} more planted attacks are of kinds that no rule looks for yet.")
    worst = sql_answer(WORST_ATTACKS, store, snapshot=snapshot)
    ((attacks,),) = sql_answer(ATTACKS, store, snapshot=snapshot).rows()
    print_rows(
        [{**row, "fired_at": f"{row['fired_at']:%m-%d %H:%M}"} for row in worst.to_dicts()],
        title=f"{worst.height} of {attacks:,} detections (medium and higher), first those that worked",
    )
    top = sql_answer(TOP_ADDRESSES, store, snapshot=snapshot)
    print_table(*top.columns, title=f"Top 5 addresses by failures, snapshot {snapshot.id}", rows=top.rows())
    counts = {**report.layers, **{f"silver {verdict}": rows for verdict, rows in report.verdicts.items()}}
    shown = [(name, rows) for name, rows in counts.items() if rows]
    print_table("layer and verdict", "rows", title="Rows", rows=shown)


def print_next_commands(console: Console, settings: Settings, *, snapshot: Snapshot, is_live: bool) -> None:
    """Print commands to paste; without a running API, also the command that starts it."""
    command = _command()
    lake, broker, api = (_options(settings, names) for names in (LAKE_SETTINGS, BROKER_SETTINGS, API_SETTINGS))
    failing = f"{command} query ip_activity --every day --order-by=-failures --limit 5{lake}"
    url = settings.api_url
    lines = [
        failing,
        f"{failing} --snapshot {max(1, snapshot.id - 1)}",
        f'{command} sql "{VERDICTS}"{lake}',
        f"{command} {WORST_ATTACKS_QUERY}{lake}",
        f"{command} verify{broker}",
        *([] if is_live else [f"{command} serve{api}   # and then, in another terminal:"]),
        f"curl '{url}/v1/metrics/ip_activity?every=day&limit=5'",
    ]
    console.print("What to try next", style="bold")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, markup=False)
    if is_live:
        console.print(f"  The pages of the API: {url}/docs")


def _options(settings: Settings, names: Sequence[str]) -> str:
    """Return those of the settings that differ from the defaults, as options for another command."""
    given = [name for name in names if name in settings.model_fields_set]
    return "".join(_option(name, getattr(settings, name)) for name in given)


def _option(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f" {option_name(name)}" if value else ""
    return f" {option_name(name)} {shlex.quote(str(value))}"


def _command() -> str:
    """Return how to call `loginlake` from here: by name if PATH has it, else by its path."""
    script = Path(sys.executable).with_name("loginlake")
    return "loginlake" if shutil.which("loginlake") else os.path.relpath(script)
