"""`loginlake redrive`: decode broken silver rows again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gold.cli import describe_published
from lakehouse.errors import UsageError
from lakehouse.job import spark_job
from lakehouse.options import SettingsCommand
from loginlake.commands.output import Json, print_json

if TYPE_CHECKING:
    from silver.redrive import Redriven

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake redrive --reason implausible_time --dry-run")
def redrive(
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="REASON", help="Only rows that are broken for this reason.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report what would change, without writing anything.")
    ] = False,
    json: Json = False,
) -> None:
    """Decode broken silver rows again with the current decoders, and publish the result.

    The reasons are the values of the column reason, such as bad_value or implausible_time.
    """
    _check_reason(reason)
    with spark_job("redrive", locks=() if dry_run else ("refresh",)) as lake:
        from loginlake import pipeline
        from silver.redrive import preview_redrive

        snapshot = None
        if dry_run:
            found = preview_redrive(lake, reason=reason)
        else:
            found, snapshot = pipeline.redrive(lake, reason=reason)
    if json:
        print_json({**found.to_dict(), "snapshot": snapshot.id if snapshot else None})
        return
    typer.echo(redrive_report(found))
    typer.echo(describe_published(snapshot) if snapshot else "Nothing was written")


def redrive_report(found: Redriven) -> str:
    """Return what a redrive found, one line for each verdict and reason."""
    fixed = [f"{verdict} now: {rows:,}" for verdict, rows in found.decoded.items()]
    broken = [f"still broken, {reason}: {rows:,}" for reason, rows in found.still_broken.items()]
    copies = [f"duplicates of them that have another winner now: {found.reassigned:,}"] if found.reassigned else []
    return "\n".join([f"broken rows decoded again: {found.attempted:,}", *fixed, *broken, *copies])


def _check_reason(reason: str | None) -> None:
    from silver.formats.reasons import Reason

    allowed = [each.value for each in Reason if each.verdict == "broken"]
    if reason is not None and reason not in allowed:
        raise UsageError(
            f"{reason!r} is not the reason of a broken row", hint=f"Use one of {', '.join(allowed)}", reason=reason
        )
