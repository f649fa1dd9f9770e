"""The demo's report: attacks planted and found, addresses with most failures, row counts, and commands to try next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.options import option_name
from loginlake.terminal import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.settings import Settings
    from lakehouse.snapshots import Snapshot
    from loginlake.verify import Report
    from serving.store import Store

# Settings with which another command finds the same lake, broker and API.
LOCATION_SETTINGS = ("root", "state", "conf", "kafka", "topic", "host", "port", "allow_unauthenticated")
TOP_ADDRESSES = """
select src_ip, country, sum(failures) as failures, sum(successes) as successes
from ip_activity where failures > 0
group by src_ip, country order by failures desc, src_ip limit 5
"""
BUSIEST_USERS = "select username, sum(times) as n from logins group by username order by n desc limit 5"


@dataclass(frozen=True)
class Scenario:
    """The planted attacks of one scenario.

    Attributes:
        name: Name of the scenario.
        planted: Number of planted attacks.
        found: Number of them that overlap a detection of the attacking entity.
        rule: The rule that should find them.
    """

    name: str
    planted: int
    found: int
    rule: str


def scenarios(attacks: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]) -> list[Scenario]:
    """Return how many planted attacks of each scenario were detected.

    Args:
        attacks: Entries of the producer's truth files.
        detections: Rows of gold.detections.
    """
    planted = Counter((attack["scenario"], attack["rule"]) for attack in attacks)
    found = Counter(attack["scenario"] for attack in attacks if any(_is_found(attack, row) for row in detections))
    return [Scenario(name, count, found[name], rule) for (name, rule), count in sorted(planted.items())]


def print_report(store: Store, *, report: Report, attacks: Sequence[Mapping[str, Any]], rules: Sequence[str]) -> None:
    """Print planted attacks, addresses with most failures, and row counts of the last snapshot.

    Args:
        store: The lake.
        report: Result of `verify`.
        attacks: Planted attacks, from the producer's truth files.
        rules: The rules that gold runs.
    """
    from lakehouse.tables.gold import DETECTIONS
    from serving.sql import sql_answer

    snapshot = store.snapshot()
    detections = store.rows(DETECTIONS, snapshot).collect().to_dicts()
    print_table(
        "scenario", "planted", "found", "expected rule",
        title=f"Planted attacks of this run, and how many {' and '.join(rules)} found",
        rows=[
            (s.name, s.planted, s.found, s.rule if s.rule in rules else f"{s.rule} (not built yet)")
            for s in scenarios(attacks, detections)
        ],
    )  # fmt: skip
    top = sql_answer(TOP_ADDRESSES, store, snapshot=snapshot)
    print_table(*top.columns, title=f"Top 5 addresses by failures, snapshot {snapshot.id}", rows=top.rows())
    counts = {**report.layers, **{f"silver {verdict}": rows for verdict, rows in report.verdicts.items()}}
    print_table("layer and verdict", "rows", title="Rows", rows=list(counts.items()))


def print_next_commands(console: Console, settings: Settings, *, snapshot: Snapshot, is_live: bool) -> None:
    """Print commands to paste; without a running API, also the command that starts it."""
    command, options = _command(), _location_options(settings)
    failing = f"{command} query ip_activity --every day --order-by=-failures --limit 5{options}"
    url = f"http://{settings.host}:{settings.port}"
    lines = [
        failing,
        f"{failing} --snapshot {max(1, snapshot.id - 1)}",
        f'{command} sql "{BUSIEST_USERS}"{options}',
        f"{command} query detections --limit 5{options}",
        f"{command} verify{options}",
        *([] if is_live else [f"{command} serve{options}   # and then, in another terminal:"]),
        f"curl '{url}/v1/metrics/ip_activity?every=day&order_by=-attempts&limit=5'",
    ]
    console.print("What to try next", style="bold")
    for line in lines:
        console.print(f"  {line}", soft_wrap=True, markup=False)
    console.print(f"  The pages of the API: {url}/docs")


def _is_found(attack: Mapping[str, Any], detection: Mapping[str, Any]) -> bool:
    entities = {(hit["entity_type"], hit["entity"]) for hit in (attack, *attack["also"])}
    first_at, last_at = (datetime.fromisoformat(attack[name]) for name in ("first_at", "last_at"))
    return (
        (detection["entity_type"], detection["entity"]) in entities
        and detection["first_at"] <= last_at
        and first_at <= detection["last_at"]
    )


def _location_options(settings: Settings) -> str:
    """Return the location settings that differ from the defaults, as options for another command."""
    given = [name for name in LOCATION_SETTINGS if name in settings.model_fields_set]
    return "".join(_option(name, getattr(settings, name)) for name in given)


def _option(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f" {option_name(name)}" if value else ""
    return f" {option_name(name)} {shlex.quote(str(value))}"


def _command() -> str:
    """Return how to call `loginlake` from here: by name if PATH has it, else by its path."""
    script = Path(sys.executable).with_name("loginlake")
    return "loginlake" if shutil.which("loginlake") else os.path.relpath(script)
