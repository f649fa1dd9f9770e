"""The command `loginlake verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.errors import VerifyFailed
from lakehouse.options import SettingsCommand
from lakehouse.progress_bar import progress_bar
from loginlake.commands.output import print_json
from loginlake.commands.reading import check_lake_exists
from loginlake.terminal import print_table

if TYPE_CHECKING:
    from loginlake.verify.report import Check, Report

# Only the first faults of a claim are printed; --json has more.
PRINTED_FAULTS = 100
STATES = {True: "ok", False: "FAILED", None: "skipped"}

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake verify --snapshot 1 --deep")
def verify(  # noqa: PLR0913 - each parameter is an option of the command
    *,
    snapshot: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Check the lake as it was at this snapshot.")
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also compare every file with its checksums, and recompute silver and gold from bronze.",
        ),
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC:PARTITION:FROM-TO", help="A range of offsets that is known to be lost; may be repeated."
        ),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check that every record that `produce --ledger FILE` listed is in bronze."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 also if a check is skipped, such as without Kafka.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check that no record is missing and none is counted twice, from Kafka to gold. Exit with 3 if a check fails."""
    from lakehouse.settings import load_settings
    from loginlake.verify import VerifyOptions, verify
    from loginlake.verify.ledger import acked_positions
    from loginlake.verify.ranges import range_from_text
    from serving.store import Store

    if deep:
        import duckdb  # noqa: F401 (if it is missing, report that now and not after an hour)
    settings = load_settings()
    check_lake_exists(settings)
    accepted = [range_from_text(text) for text in accept or []]
    acked = acked_positions(ledger) if ledger else None
    with progress_bar() as progress:
        options = VerifyOptions(snapshot=snapshot, is_deep=deep, accepted=accepted, acked=acked, progress=progress)
        report = verify(settings, Store(settings), options=options)
    if json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    if not report.ok or (strict and report.skipped):
        raise typer.Exit(VerifyFailed.exit_code)


def _print_report(report: Report) -> None:
    print_table(
        "claim",
        "checked",
        "faults",
        "state",
        rows=[(check.claim, check.checked, check.faults, STATES[check.passed]) for check in report.checks],
    )
    counts = {**report.layers, **{f"silver {verdict}": rows for verdict, rows in report.verdicts.items()}}
    print_table("layer", "rows", rows=list(counts.items()))
    for check in report.checks:
        _print_details(check)
    typer.echo(report.summary)


def _print_details(check: Check) -> None:
    """Print the notes of a check, its first faults and its hint."""
    for note in check.notes:
        typer.echo(f"{check.claim}: {note}")
    for detail in check.details[:PRINTED_FAULTS]:
        typer.echo(f"{check.claim}: {detail}")
    if len(check.details) > PRINTED_FAULTS:
        typer.echo(f"{check.claim}: {len(check.details) - PRINTED_FAULTS:,} more, see --json")
    if check.hint:
        typer.echo(f"  hint: {check.hint}")
