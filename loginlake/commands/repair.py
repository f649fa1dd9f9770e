"""The verbs that mend a lake: `rebuild` and `redrive`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gold.cli import outcome
from lakehouse.errors import UsageError
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand

if TYPE_CHECKING:
    from lakehouse.snapshots import Snapshot
    from silver.redrive import Redriven

Layer = Annotated[Literal["silver", "gold"], typer.Argument(help="silver takes gold along.")]

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake rebuild gold")
def rebuild(layer: Layer) -> None:
    """Write silver anew from bronze, or gold anew from silver, and publish it as one snapshot.

    Readers stay on the last snapshot until then.
    """
    with spark_job("rebuild") as lake:
        from loginlake import pipeline

        rebuilt = {"silver": pipeline.rebuild_silver, "gold": pipeline.rebuild_gold}[layer]
        typer.echo(outcome(rebuilt(lake)))


@app.command(cls=SettingsCommand, epilog="For example: loginlake redrive --reason implausible_time --dry-run")
def redrive(
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="Only rows that are broken for this reason.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be mended and write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take broken rows of silver again through the decoders of today, and publish what that changes.

    The reasons are those of the column reason: bad_value, implausible_time and so on.
    """
    _check_reason(reason)
    with spark_job("redrive") as lake:
        from loginlake import pipeline
        from silver.redrive import preview

        snapshot = None
        if dry_run:
            found = preview(lake, reason=reason)
        else:
            found, snapshot = pipeline.redrive(lake, reason=reason)
    if json:
        _print_json(found, snapshot)
        return
    typer.echo(told(found))
    typer.echo("Nothing was written" if dry_run else outcome(snapshot))


def told(found: Redriven) -> str:
    """What a redrive found, a line for each thing."""
    mended = [f"{verdict} now: {rows:,}" for verdict, rows in found.mended.items()]
    broken = [f"still broken, {reason}: {rows:,}" for reason, rows in found.broken.items()]
    copies = [f"copies of them that have another winner now: {found.resettled:,}"] if found.resettled else []
    return "\n".join([f"broken rows taken again: {found.taken:,}", *mended, *broken, *copies])


def _check_reason(reason: str | None) -> None:
    from silver.formats.reasons import Reason

    allowed = [each.value for each in Reason if each.verdict == "broken"]
    if reason is not None and reason not in allowed:
        raise UsageError(f"No row is broken for {reason!r}", hint=f"Name one of {', '.join(allowed)}", reason=reason)


def _print_json(found: Redriven, snapshot: Snapshot | None) -> None:
    import json

    typer.echo(json.dumps({**found.to_dict(), "snapshot": snapshot.id if snapshot else None}, indent=2))
