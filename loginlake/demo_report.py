"""The panel of the demo: what was planted and found, who fails most, how many rows, and what to try next."""

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

import rich.box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.settings import Settings
    from lakehouse.snapshots import Snapshot
    from loginlake.verify import Report
    from serving.store import Store

# Settings that another command needs to find the same parts, or to start them there.
PLACES = ("root", "state", "conf", "kafka", "topic", "host", "port", "allow_unauthenticated")
TOP_IPS = """
select src_ip, country, sum(failures) as failures, sum(successes) as successes
from ip_activity where failures > 0
group by src_ip, country order by failures desc, src_ip limit 5
"""
BUSIEST_USERS = "select username, sum(times) as n from logins group by username order by n desc limit 5"


@dataclass(frozen=True)
class Scenario:
    """How the attacks of one scenario fared.

    Attributes:
        name: The scenario.
        planted: How many were planted.
        found: For how many a detection of the attacking address overlaps the attack.
        rule: The rule that the scenario is made for.
    """

    name: str
    planted: int
    found: int
    rule: str


def scenarios(attacks: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]) -> list[Scenario]:
    """The planted attacks by scenario, held against the detections.

    Args:
        attacks: Entries of the producer's truth files.
        detections: Rows of gold.detections.
    """
    planted = Counter((attack["scenario"], attack["rule"]) for attack in attacks)
    found = Counter(attack["scenario"] for attack in attacks if any(_found(attack, row) for row in detections))
    return [Scenario(name, count, found[name], rule) for (name, rule), count in sorted(planted.items())]


def print_panel(
    console: Console,
    store: Store,
    *,
    report: Report,
    attacks: Sequence[Mapping[str, Any]],
    rules: Sequence[str],
) -> None:
    """Prints planted attacks, top addresses and counts, all of the last snapshot.

    Args:
        console: Where to.
        store: The lake.
        report: What `verify` found.
        attacks: What the producer planted, from its truth files.
        rules: The rules that are run.
    """
    from lakehouse.tables.gold import DETECTIONS
    from serving.sql import sql_answer

    snapshot = store.snapshot()
    detections = store.rows(DETECTIONS, snapshot).collect().to_dicts()
    _print_table(
        console,
        f"Planted attacks of this run, and what {' and '.join(rules)} found of them",
        columns=("scenario", "planted", "found", "made for the rule"),
        rows=[
            (s.name, s.planted, s.found, s.rule if s.rule in rules else f"{s.rule} (not built yet)")
            for s in scenarios(attacks, detections)
        ],
    )
    top = sql_answer(TOP_IPS, store, snapshot=snapshot)
    _print_table(console, f"Top 5 addresses by failures, snapshot {snapshot.id}", columns=top.columns, rows=top.rows())
    counts = {**report.layers, **{f"silver {verdict}": rows for verdict, rows in report.verdicts.items()}}
    _print_table(console, "Rows", columns=("layer and verdict", "rows"), rows=list(counts.items()))


def print_next(console: Console, settings: Settings, *, snapshot: Snapshot, is_live: bool) -> None:
    """Prints commands that work when pasted: with the API where it runs, else how to start it."""
    command, where = _command(), _where(settings)
    failing = f"{command} query ip_activity --every day --order-by=-failures --limit 5{where}"
    url = f"http://{settings.host}:{settings.port}"
    lines = [
        failing,
        f"{failing} --snapshot {max(1, snapshot.id - 1)}",
        f'{command} sql "{BUSIEST_USERS}"{where}',
        f"{command} query detections --limit 5{where}",
        f"{command} verify{where}",
        *([] if is_live else [f"{command} serve{where}   # and then, in another terminal:"]),
        f"curl '{url}/v1/metrics/ip_activity?every=day&order_by=-attempts&limit=5'",
    ]
    console.print(Text("What to try next", style="bold"))
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)
    console.print(Text(f"  The API's own pages: {url}/docs"))


def _found(attack: Mapping[str, Any], detection: Mapping[str, Any]) -> bool:
    hits = (attack, *attack["also"])
    is_entity = any(
        (hit["entity_type"], hit["entity"]) == (detection["entity_type"], detection["entity"]) for hit in hits
    )
    first_at, last_at = (datetime.fromisoformat(attack[name]) for name in ("first_at", "last_at"))
    return is_entity and detection["first_at"] <= last_at and first_at <= detection["last_at"]


def _print_table(console: Console, title: str, *, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    console.print(table)


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _where(settings: Settings) -> str:
    """The flags with which another command finds the same parts: it does not know the flags that this one was given."""
    given = [name for name in PLACES if name in settings.model_fields_set]
    return "".join(f" --{name} {shlex.quote(str(getattr(settings, name)))}" for name in given)


def _command() -> str:
    """How `loginlake` is called from here: by its name where PATH has it."""
    script = Path(sys.executable).with_name("loginlake")
    return "loginlake" if shutil.which("loginlake") else os.path.relpath(script)
