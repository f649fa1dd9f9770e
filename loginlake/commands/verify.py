"""The command `loginlake verify`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.entrypoint import print_text
from lakehouse.errors import VerifyFailed
from lakehouse.lake_folder import check_lake_exists
from lakehouse.options import SettingsCommand
from lakehouse.progress_bar import progress_bar
from loginlake.commands.output import print_json
from loginlake.terminal import print_table

if TYPE_CHECKING:
    from loginlake.verify.report import Check, Report

# Only the first faults of a claim are printed; --json has more.
PRINTED_FAULTS = 100
STATES = {True: "ok", False: "FAILED", None: "skipped"}

# What `Report.unread` counts, by layer.
UNREAD = {
    "kafka": "Kafka records that bronze, which `bronze` and `up` fill, has not read yet",
    "bronze": "bronze rows that silver has not read yet, as the next refresh does",
}

app = typer.Typer(add_completion=False)


Snapshot = Annotated[
    int | None, typer.Option("--snapshot", metavar="N", min=1, help="Check the lake as it was at this snapshot.")
]
Deep = Annotated[
    bool,
    typer.Option(
        "--deep", help="Also compare every file with its checksums, and recompute silver and gold from bronze."
    ),
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="TOPIC:PARTITION:FROM-TO",
        help="A range of offsets that is known to be lost; may be repeated.",
    ),
]
Ledger = Annotated[
    Path | None,
    typer.Option(
        "--ledger", metavar="FILE", help="Check that every record that `produce --ledger FILE` listed is in bronze."
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 3 also if a check is skipped, such as without Kafka.")
]


@app.command(cls=SettingsCommand, epilog="For example: loginlake verify --snapshot 1 --deep")
def verify(  # noqa: PLR0913 - each parameter is an option of the command
    *,
    snapshot: Snapshot = None,
    deep: Deep = False,
    accept: Accept = None,
    ledger: Ledger = None,
    strict: Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check that no record is missing and none is counted twice, from Kafka to gold. Exit with 3 if a check fails."""
    report = _verified(snapshot=snapshot, is_deep=deep, accept=accept or [], ledger=ledger)
    if json:
        print_json(report.to_dict())
    else:
        _print_report(report, is_current=snapshot is None)
        print_text(report.strict_summary if strict else report.summary)
    if not report.ok or (strict and report.skipped):
        raise typer.Exit(VerifyFailed.exit_code)


def _verified(*, snapshot: int | None, is_deep: bool, accept: Sequence[str], ledger: Path | None) -> Report:
    """Return the report of the lake that the settings name, with a progress bar meanwhile."""
    from lakehouse.settings import load_settings
    from loginlake.verify import VerifyOptions, verify
    from loginlake.verify.ledger import acked_positions
    from loginlake.verify.ranges import range_from_text
    from serving.store import Store

    if is_deep:
        import duckdb  # noqa: F401 (if it is missing, report that now and not after an hour)
    settings = load_settings()
    check_lake_exists(settings)
    accepted = [range_from_text(text) for text in accept]
    acked = acked_positions(ledger) if ledger else None
    with progress_bar() as progress:
        options = VerifyOptions(snapshot=snapshot, is_deep=is_deep, accepted=accepted, acked=acked, progress=progress)
        return verify(settings, Store(settings), options=options)


def _print_report(report: Report, *, is_current: bool) -> None:
    print_table(
        "claim",
        "checked",
        "faults",
        "state",
        rows=[(check.claim, check.checked, check.faults, STATES[check.passed]) for check in report.checks],
    )
    counts = {**report.layers, **{f"silver {verdict}": rows for verdict, rows in report.verdicts.items()}}
    print_table("layer", "rows", rows=list(counts.items()))
    for layer, what in UNREAD.items() if is_current else ():  # of an earlier snapshot: what arrived after it
        if count := report.unread.get(layer, 0):
            print_text(f"note: {what}: {count:,}")
    for check in report.checks:
        for note in check.notes:
            print_text(f"note: {note} ({check.claim})")
    _print_faults(report)


def _print_faults(report: Report) -> None:
    """Print what could not be checked, then the faults, and which checks could not run because of them."""
    from loginlake.verify.report import BlockedCheck

    direct = [check for check in report.checks if check.details and not isinstance(check, BlockedCheck)]
    for check in sorted(direct, key=lambda check: check.passed is False):
        _print_details(check)
    faults = [detail for check in direct if check.passed is False for detail in check.details]
    blocked: dict[str, list[Check]] = defaultdict(list)
    for check in report.checks:
        if isinstance(check, BlockedCheck):
            blocked[check.details[0]].append(check)
    for cause, checks in blocked.items():
        table = cause.partition(" ")[0]
        # The fault of a file or of a log that is listed above.
        is_listed = any(fault.startswith(table) for fault in faults)
        print_text(f"{table} can't be read, see above" if is_listed else cause)
        print_text(f"  {len(checks)} check{'' if len(checks) == 1 else 's'} could not run because of it")
        if not is_listed:
            print_text(f"  hint: {checks[0].hint}")


def _print_details(check: Check) -> None:
    """Print the first faults of a check and its hint."""
    for detail in check.details[:PRINTED_FAULTS]:
        print_text(f"{check.claim}: {detail}")
    if len(check.details) > PRINTED_FAULTS:
        print_text(f"{check.claim}: {len(check.details) - PRINTED_FAULTS:,} more, see --json")
    if check.hint:
        print_text(f"  hint: {check.hint}")
