"""The verb `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.errors import VerifyFailed
from lakehouse.options import SettingsCommand
from lakehouse.progress_bar import progress_bar
from loginlake.commands.output import print_table

if TYPE_CHECKING:
    from loginlake.verify.report import Check, Report

# So many faults of one claim are printed; --json has more.
PRINTED = 100
STATES = {True: "ok", False: "FAULT", None: "not checked"}

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake verify --snapshot 1 --deep")
def verify(
    *,
    snapshot: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Check the lake as it is at this snapshot.")
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Read every byte against its checksums; compute silver and gold again from bronze."
        ),
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC:PARTITION:FROM-TO", help="A range of offsets whose loss is known. Repeat it."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check that what `produce --ledger FILE` saw delivered is there."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check that no record is missing and none stands twice, from Kafka to gold; exit 3 where that fails."""
    from lakehouse.settings import load_settings
    from loginlake.verify.lake import VerifyOptions, verify
    from loginlake.verify.ledger import acked_positions
    from loginlake.verify.ranges import range_from_text
    from serving.store import Store

    if deep:
        import duckdb  # noqa: F401 (where it is missing, that is said before an hour is spent)
    settings = load_settings()
    accepted = [range_from_text(text) for text in accept or []]
    acked = acked_positions(ledger) if ledger else None
    with progress_bar() as progress:
        wish = VerifyOptions(snapshot=snapshot, is_deep=deep, accepted=accepted, acked=acked, progress=progress)
        report = verify(settings, Store(settings), wish=wish)
    if json:
        _print_json(report)
    else:
        _print_report(report)
    if not report.ok:
        raise typer.Exit(VerifyFailed.exit_code)


def _print_json(report: Report) -> None:
    import json

    typer.echo(json.dumps(report.to_dict(), indent=2))


def _print_report(report: Report) -> None:
    print_table(
        "claim",
        "checked",
        "faults",
        "state",
        rows=[(check.claim, f"{check.checked:,}", f"{check.faults:,}", STATES[check.holds]) for check in report.checks],
    )
    counts = {**report.layers, **{f"silver {verdict}": rows for verdict, rows in report.verdicts.items()}}
    print_table("layer", "rows", rows=[(name, "-" if n is None else f"{n:,}") for name, n in counts.items()])
    for check in report.checks:
        _print_words(check)
    faulty = sum(check.holds is False for check in report.checks)
    typer.echo(f"verify: {faulty} of {len(report.checks)} claims do not hold" if faulty else "verify: ok")


def _print_words(check: Check) -> None:
    """What there is to say of a claim: its notes, its faults by name, and the mend."""
    for note in check.notes:
        typer.echo(f"{check.claim}: {note}")
    for name in check.named[:PRINTED]:
        typer.echo(f"{check.claim}: {name}")
    if len(check.named) > PRINTED:
        typer.echo(f"{check.claim}: and {len(check.named) - PRINTED:,} more, which --json names")
    if check.hint:
        typer.echo(f"  hint: {check.hint}")
