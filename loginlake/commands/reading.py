"""What the commands that read the lake share: the store, and the options that choose a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from serving.store import Store

# Names and values of query parameters, as the API reads them from a URL.
Pairs = list[tuple[str, str]]

AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="T", help="Read the last snapshot published at or before T (RFC 3339).")
]
SnapshotId = Annotated[str | None, typer.Option("--snapshot", metavar="N", help="Read the snapshot with this id.")]


def open_store() -> Store:
    """Return the store of the lake that the settings name."""
    from lakehouse.settings import load_settings
    from serving.store import Store

    return Store(load_settings())


def query_pairs(**options: str | None) -> Pairs:
    """Return the options that were given, as query parameters."""
    return [(option, text) for option, text in options.items() if text is not None]
