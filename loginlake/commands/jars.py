"""`loginlake jars`: fetch the jars of Spark's connectors, of S3 if the lake is there, and of the broker."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from lakehouse.options import SettingsCommand

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake jars")
def jars(
    *,
    printed: Annotated[
        Literal["spark", "s3", "broker"] | None,
        typer.Option(
            "--print", help="Print the files of a group, separated by commas, as `pyspark --jars` takes them."
        ),
    ] = None,
) -> None:
    """Fetch the jars that the user's cache lacks, and verify all against the lock file.

    Those of S3 are fetched only if LOGINLAKE_ROOT is on S3.
    """
    from lakehouse.jars import jar_paths, job_groups
    from lakehouse.settings import load_settings

    settings = load_settings()
    for group in (*job_groups(settings), "broker"):
        paths = jar_paths(settings, group, progress=lambda jar: typer.echo(f"fetching {jar}", err=True))
        typer.echo(f"{len(paths)} {group} jars are in the cache and match the lock file", err=printed is not None)
        if group == printed:
            typer.echo(",".join(map(str, paths)))
