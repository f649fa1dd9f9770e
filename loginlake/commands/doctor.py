"""`loginlake doctor`: check this machine and the settings."""

from __future__ import annotations

from dataclasses import asdict

import typer

from lakehouse.entrypoint import print_text
from lakehouse.options import SettingsCommand
from loginlake.commands.output import Json, print_json
from loginlake.terminal import print_table

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake doctor --json")
def doctor(*, json: Json = False) -> None:
    """Check Python, Java, Spark, Delta, jars, ports, disk and settings, and print a hint for each problem."""
    from loginlake.doctor import diagnose
    from loginlake.doctor.finding import State

    findings = diagnose()
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            "check", "state", "what", rows=[(finding.check, finding.state.value, finding.what) for finding in findings]
        )
        for finding in findings:
            if finding.hint:
                print_text(f"{finding.check}: {finding.hint}")
    if any(finding.state is State.FAIL for finding in findings):
        raise typer.Exit(1)
