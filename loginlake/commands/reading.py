"""What the commands that read the lake share: the store, and the options that choose a snapshot."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.clock import instant_text, utc_now
from lakehouse.entrypoint import print_text
from lakehouse.errors import BadQuery
from lakehouse.lake_folder import check_lake_exists
from serving.parameters import time_parser

if TYPE_CHECKING:
    from lakehouse.snapshots import Snapshot
    from producer.ground_truth import TruthFile
    from serving.selection import Period
    from serving.store import Store

A_SECOND = timedelta(seconds=1)

AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="T", help="Read the last snapshot published by then: a date, -1h, 2026-01-31T08:00:00Z."
    ),
]
SnapshotId = Annotated[
    int | None, typer.Option("--snapshot", metavar="N", min=1, help="Read the snapshot with this id.")
]

Since = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="T",
        help="Start of the time range (inclusive), UTC: 2026-01-31, today, yesterday, -7d, 2026-01-31T08:00:00Z.",
    ),
]
Until = Annotated[str | None, typer.Option("--to", metavar="T", help="End of the time range (exclusive).")]

Truth = Annotated[
    list[Path] | None,
    typer.Option(
        "--truth",
        metavar="PATH",
        help="Ground truth: a file of `produce generate --truth`, or a folder, of which all files truth-*.json about "
        "events of this lake are read. Repeat it for several.",
    ),
]


def open_store() -> Store:
    """Return the store of the lake that the settings name.

    Raises:
        LakeMissing: There is no lake in the folder.
    """
    from lakehouse.settings import load_settings
    from serving.store import Store

    settings = load_settings()
    check_lake_exists(settings)
    return Store(settings)


def requested_snapshot(store: Store, *, as_of: str | None, snapshot: int | None) -> Snapshot:
    """Return the snapshot that --as-of or --snapshot names; without either, the last one.

    A note on standard error names the snapshot that --as-of found, and which one followed within a second: tables print
    times without fractions of a second, so that a time copied from one is just before its snapshot.

    Raises:
        BadQuery: Both are given, or the time is malformed.
        SnapshotMissing: No published snapshot matches.
        SnapshotExpired: The snapshot is no longer retained.
        InFuture: The time is later than now.
    """
    if as_of is not None and snapshot is not None:
        raise BadQuery("--as-of and --snapshot are both given", hint="Give only one of them")
    instant = time_option("--as-of", as_of, now=utc_now())
    found = store.snapshot(snapshot_id=snapshot, as_of=instant)
    if instant is not None:
        soon = next((each for each in store.snapshots() if instant < each.at <= instant + A_SECOND), None)
        followed = f"; snapshot {soon.id} followed at {instant_text(soon.at)}" if soon else ""
        print_text(f"This is snapshot {found.id}, published at {instant_text(found.at)}{followed}", err=True)
    return found


def requested_truths(paths: list[Path] | None, store: Store, *, snapshot: Snapshot) -> dict[Path, TruthFile]:
    """Return the ground truth that --truth names, with a note if files that lie beside the named ones are not named.

    Raises:
        UsageError: A file can't be read or is not a ground truth file, or a folder has none.
    """
    from loginlake.truths import files_beside, read_truths

    truths = read_truths(paths or (), store, snapshot=snapshot)
    if others := files_beside(paths or ()):
        names = ", ".join(path.name for path in others)
        print_text(
            f"Not used: {names}, in the same folder; name the folder with --truth to use all files of this lake",
            err=True,
        )
    return truths


def requested_period(since: str | None, until: str | None, *, now: datetime) -> Period:
    """Return the period that --from and --to name.

    Raises:
        BadQuery: A value is not a time, or the period is empty.
    """
    from serving.selection import Period

    first, end = time_option("--from", since, now=now), time_option("--to", until, now=now)
    if first is not None and end is not None and first >= end:
        raise BadQuery(
            f"The time range is empty: --from ({instant_text(first)}) is not before --to ({instant_text(end)})",
            hint="Set --from to an earlier time than --to",
        )
    return Period(first, end)


def time_option(option: str, text: str | None, *, now: datetime) -> datetime | None:
    """Return the instant of an option's value, or None if the option is not given.

    Raises:
        BadQuery: The value is not a time.
    """
    if text is None:
        return None
    try:
        return time_parser(now)(text)
    except BadQuery as error:
        raise BadQuery(f"{option}: {error.what}", hint=error.hint) from error
