"""The lake that is verified: the versions of all tables, fixed once at the start, and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl
from deltalake import Schema

from lakehouse.errors import LakeUnreadable, TableMissing
from lakehouse.progress import BronzeProgress, Commit, Offsets, is_below, newest_note
from lakehouse.progress_bar import Progress
from lakehouse.settings import Settings
from lakehouse.snapshots import Snapshot
from lakehouse.tables import SNAPSHOT_TABLES, TABLES
from lakehouse.tables.bronze import POSITION, RAW_LOGS, TOPIC_ID
from lakehouse.tables.gold import LABELS, SNAPSHOTS
from lakehouse.tables.model import Table
from lakehouse.tables.silver import EVENTS
from loginlake.verify.checksums import ChecksumResult
from loginlake.verify.delta_log import CommitInfo, DeltaLog, read_log, table_folder
from loginlake.verify.kafka_reader import Topic, read_topics
from loginlake.verify.ranges import POSITION_SCHEMA, Range
from loginlake.verify.report import UNREADABLE
from serving.delta_tables import open_table
from serving.integrity import reading
from serving.store import Store, collected

# Bronze comes last: it must contain everything that the pinned version of silver has read.
PINNED_TABLES = (*SNAPSHOT_TABLES, RAW_LOGS)


@dataclass(frozen=True)
class VerifyOptions:
    """What to verify.

    Attributes:
        snapshot: The snapshot to verify; None for the whole lake as it is now.
        is_deep: Compare every file with its checksums and recompute silver and gold.
        accepted: Ranges of offsets that are known to be lost.
        acked: Positions listed in a producer's ledger; None without a ledger.
        progress: Called with the step, the units done and their total, if known.
    """

    snapshot: int | None = None
    is_deep: bool = False
    accepted: Sequence[Range] = ()
    acked: pl.DataFrame | None = None
    progress: Progress = lambda _step, _done, _total: None


@dataclass(frozen=True)
class PinnedLake:
    """The lake at fixed versions; jobs may write to it meanwhile.

    Attributes:
        settings: Where the lake and its broker are.
        store: Reads the rows.
        options: What to verify.
        published: All snapshots, oldest first; none if gold.snapshots can't be read.
        snapshot: The snapshot at which gold is checked: the requested or the last one; None if none is published.
        versions: The version to read of each table, by full name; a table that can't be opened has none.
        end_offsets: Next offsets up to which bronze is checked; None for all of bronze.
        logs: The Delta log of each table, by full name.
        checksums: The result of comparing every file with its checksums; None unless verification is deep.
    """

    settings: Settings
    store: Store
    options: VerifyOptions
    published: tuple[Snapshot, ...]
    snapshot: Snapshot | None
    versions: Mapping[str, int]
    end_offsets: Offsets | None = None
    logs: Mapping[str, DeltaLog] = field(default_factory=dict)
    checksums: ChecksumResult | None = None

    @property
    def is_current(self) -> bool:
        """True if the whole lake is verified as it is now, False for a requested snapshot."""
        return self.options.snapshot is None

    @property
    def retained(self) -> Sequence[Snapshot]:
        """The snapshots whose files must exist: the requested one, or all that may still be read."""
        if self.is_current:
            return self.store.retained(self.published)
        return [self.snapshot] if self.snapshot else []

    def events(self) -> pl.LazyFrame:
        """Return the rows of silver; none if silver does not exist yet.

        Raises:
            LakeUnreadable: The table can't be read.
        """
        return self._pinned_rows(EVENTS, if_missing=pl.DataFrame(EVENTS.arrow_schema().empty_table()))

    def records(self) -> pl.LazyFrame:
        """Return the rows of bronze below `end_offsets`; none if bronze does not exist yet.

        Raises:
            LakeUnreadable: The table can't be read.
        """
        rows = self._pinned_rows(RAW_LOGS, if_missing=pl.DataFrame(schema=POSITION_SCHEMA))
        return rows if self.end_offsets is None else rows.filter(is_below(self.end_offsets, pl.col))

    def rows(self, table: Table) -> pl.LazyFrame:
        """Return the rows of a table at the snapshot.

        Raises:
            LakeUnreadable: The table can't be read.
            TableMissing: No snapshot is published, or it is older than the table.
        """
        self._refuse_corrupt(table)
        if self.snapshot is None:
            raise TableMissing(
                f"No snapshot is published, so {table.full_name} can't be read at one",
                hint="Run `loginlake refresh` to publish one",
                name=table.full_name,
            )
        return self.store.rows(table, self.snapshot)

    def is_older_than(self, table: Table) -> bool:
        """Return whether the snapshot was published before the table was declared."""
        return self.snapshot is not None and table.full_name not in self.snapshot.versions

    @cached_property
    def silver_positions(self) -> pl.DataFrame:
        """The Kafka position of each silver row."""
        return collected(self.events().select(POSITION), EVENTS)

    @cached_property
    def bronze_positions(self) -> pl.DataFrame:
        """The Kafka position of each bronze row below `end_offsets`."""
        return collected(self.records().select(POSITION), RAW_LOGS)

    @cached_property
    def bronze_read_by_silver(self) -> pl.DataFrame:
        """The bronze positions up to the last one of silver in each partition."""
        at = ["topic", "partition"]
        lasts = self.silver_positions.group_by(at).agg(last=pl.col("offset").max())
        return self.bronze_positions.join(lasts, on=at).filter(pl.col("offset") <= pl.col("last")).drop("last")

    def commits(self, table: Table) -> Iterator[Commit]:
        """Yield the commits of a table from the pinned version back to 0; none if its log can't be read."""
        log = self.logs.get(table.full_name)
        if log is not None:
            for version in range(self.versions.get(table.full_name, -1), -1, -1):
                info = log.commit_infos.get(version, CommitInfo())
                yield Commit(info.operation, info.user_metadata)

    @cached_property
    def bronze_progress(self) -> BronzeProgress | None:
        """How far bronze has read Kafka according to its commits; None if they don't record it, or for a snapshot."""
        if not self.is_current or RAW_LOGS.full_name not in self.logs:
            return None
        note = newest_note(self.commits(RAW_LOGS))
        return note.bronze_progress if note else None

    def schema(self, table: Table) -> Schema:
        """Return the schema of a table at its pinned version.

        Raises:
            LakeUnreadable: The table can't be read.
        """
        with reading(table):
            return open_table(self.settings, table, version=self.versions[table.full_name]).schema()

    @cached_property
    def topic_ids(self) -> dict[str, str]:
        """The Kafka id of each topic that bronze was read from, as recorded in its table properties."""
        with reading(RAW_LOGS):
            properties = open_table(self.settings, RAW_LOGS).metadata().configuration
        prefixed = {name: value for name, value in properties.items() if value and name.startswith(TOPIC_ID)}
        return {name.removeprefix(TOPIC_ID): value for name, value in prefixed.items()}

    @cached_property
    def topics(self) -> dict[str, Topic] | None:
        """The topics of this lake that the broker has; None if no broker answers.

        They are read after the versions are pinned, so the broker must have every record that bronze has read.
        """
        names = {self.settings.topic}
        with suppress(*UNREADABLE):
            names |= self.topic_ids.keys()
        with suppress(*UNREADABLE):
            names |= set(self.bronze_positions["topic"].unique())
        return read_topics(self.settings, names)

    def _pinned_rows(self, table: Table, *, if_missing: pl.DataFrame) -> pl.LazyFrame:
        self._refuse_corrupt(table)
        version = self.versions.get(table.full_name)
        try:
            return self.store.rows_at_version(table, self.store.newest_version(table) if version is None else version)
        except TableMissing:
            return if_missing.lazy()

    def _refuse_corrupt(self, table: Table) -> None:
        if self.checksums is not None and table.full_name in self.checksums.corrupt_tables:
            raise LakeUnreadable(
                f"{table.full_name} has corrupt files, so it was not read",
                hint="Restore these files from a copy of the lake",
                table=table.full_name,
            )


def pin_lake(settings: Settings, store: Store, *, options: VerifyOptions) -> PinnedLake:
    """Return the lake at its current versions, or at those of the requested snapshot.

    Raises:
        TableMissing: There is no lake.
        SnapshotMissing: The requested snapshot does not exist.
        SnapshotExpired: The requested snapshot is no longer retained.
    """
    options.progress("Reading the Delta logs", 0, None)
    lake = (
        _pin_current(settings, store, options=options)
        if options.snapshot is None
        else _pin_snapshot(settings, store, options=options, snapshot_id=options.snapshot)
    )
    return replace(lake, logs=_read_logs(lake))


def _pin_current(settings: Settings, store: Store, *, options: VerifyOptions) -> PinnedLake:
    # First, so that each snapshot recorded in a commit up to this version is among the published ones read next.
    versions = _newest_versions(store, (SNAPSHOTS,))
    published = _published(store)
    versions |= _newest_versions(store, (*PINNED_TABLES, LABELS))
    if not versions and not published:
        store.newest_version(RAW_LOGS)  # raises why: there is no lake, or it can't be read
    return PinnedLake(settings, store, options, published, published[-1] if published else None, versions)


def _pin_snapshot(settings: Settings, store: Store, *, options: VerifyOptions, snapshot_id: int) -> PinnedLake:
    snapshot = store.snapshot(snapshot_id=snapshot_id)
    published = tuple(each for each in store.snapshots() if each.id <= snapshot.id)
    versions = {**snapshot.versions, **_newest_versions(store, (RAW_LOGS, SNAPSHOTS))}
    return PinnedLake(settings, store, options, published, snapshot, versions, snapshot.offsets)


def _published(store: Store) -> tuple[Snapshot, ...]:
    """Return the published snapshots; none if their table can't be read, which its own checks report."""
    try:
        return store.snapshots()
    except LakeUnreadable:
        return ()


def _newest_versions(store: Store, tables: Sequence[Table]) -> dict[str, int]:
    """Return the newest version of each table that can be opened."""
    versions = {}
    for table in tables:
        with suppress(LakeUnreadable, TableMissing):
            versions[table.full_name] = store.newest_version(table)
    return versions


def _read_logs(lake: PinnedLake) -> dict[str, DeltaLog]:
    """Return the log of every existing table, with the files that retained snapshots and the pinned version need."""
    logs = {}
    for name, table in TABLES.items():
        named = [snapshot.versions[name] for snapshot in lake.retained if name in snapshot.versions]
        pinned = [lake.versions[name]] if name in lake.versions else []
        log = read_log(table_folder(lake.settings, table), [*named, *pinned])
        if named or pinned or log.newest >= 0 or log.faults:
            logs[name] = log
    return logs
