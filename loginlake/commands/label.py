"""`loginlake label`: label a detection `true`, `false` or `benign`."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from lakehouse.clock import utc_now
from lakehouse.errors import UsageError, name_hint
from lakehouse.options import SettingsCommand
from loginlake.commands.output import Json, print_json
from loginlake.commands.reading import open_store, requested_snapshot

EXAMPLE = "loginlake label 78378a709ee633a9b7409291819a28db benign --note 'penetration test'"

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog=f"For example: {EXAMPLE}")
def label(
    detection_id: Annotated[
        str,
        typer.Argument(
            metavar="DETECTION_ID",
            help="Id of the detection; `loginlake query attacks --columns detection_id,rule,entity` lists them.",
        ),
    ],
    value: Annotated[
        str,
        typer.Argument(
            metavar="true|false|benign",
            help="true: an attack. false: the rule is wrong. benign: it happened, and is harmless.",
        ),
    ],
    *,
    note: Annotated[str, typer.Option(metavar="T", help="Why.")] = "",
    author: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who gives the label; by default the user of this machine.")
    ] = None,
    json: Json = False,
) -> None:
    """Label a detection `true`, `false` or `benign`. The last label of a detection counts.

    A label `false` or `benign` takes the detection out of the risk of its user or address (`query entity_risk`).
    """
    store = open_store()
    import msgspec

    from lakehouse.tables.gold import LABEL_VALUES
    from serving.labels import Label, append_label

    if value not in LABEL_VALUES:
        raise UsageError(f"{value!a} is not a label", hint=name_hint(value, LABEL_VALUES))
    given = Label(detection_id, utc_now(), value, note=note, author=author or getpass.getuser())
    snapshot = requested_snapshot(store, as_of=None, snapshot=None)
    append_label(given, store=store, snapshot=snapshot)
    if json:
        print_json(msgspec.to_builtins(given))
    else:
        typer.echo(f"{detection_id} is labeled {value}")
