"""How far a table has been read, as Kafka offsets: in memory, as JSON, as the note of a commit, and from the rows.

Each commit of the bronze stream and of the silver job records the progress after it in its userMetadata. A table whose
newest commit with rows has no readable note gets its progress from its rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import msgspec

from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.silver import EVENTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakehouse.lake import Lake
    from lakehouse.tables.model import Table

Partition: TypeAlias = tuple[str, int]
Offsets: TypeAlias = Mapping[Partition, int]
NestedOffsets: TypeAlias = dict[str, dict[int, int]]
Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]

# Operations of Delta that neither add nor remove rows, so that the note of an earlier commit is still true.
OPERATIONS_WITHOUT_ROWS = ("CREATE TABLE", "ADD COLUMNS", "SET TBLPROPERTIES", "OPTIMIZE")


@dataclass(frozen=True)
class BronzeProgress:
    """How far bronze has read Kafka.

    Attributes:
        offsets: The next offset of each topic and partition that bronze has read from.
        last_ingest: The ingest instant of the last batch, UTC; None while bronze is empty.
    """

    offsets: Offsets
    last_ingest: datetime | None

    def to_json(self) -> str:
        """Return the note of a commit of bronze."""
        return note_to_json(CommitNote(nested_offsets(self.offsets), last_ingest=self.last_ingest))


@dataclass(frozen=True)
class SilverProgress:
    """How far silver has read bronze.

    Attributes:
        offsets: The next offset of each topic and partition.
        ingested_on: The ingest day of the last row read: unread rows have this day or a later one. None while silver is
            empty.
        enrichment: The versions of the enrichment data of the last commit.
    """

    offsets: Offsets
    ingested_on: date | None
    enrichment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the note of a commit of silver."""
        offsets, enrichment = nested_offsets(self.offsets), dict(self.enrichment)
        return note_to_json(CommitNote(offsets, ingested_on=self.ingested_on, enrichment=enrichment))


# Offsets as JSON


def nested_offsets(offsets: Offsets) -> NestedOffsets:
    """Return topic to partition to next offset, sorted; the form that JSON shows."""
    by_topic: NestedOffsets = {}
    for (topic, partition), offset in sorted(offsets.items()):
        by_topic.setdefault(topic, {})[partition] = offset
    return by_topic


def flat_offsets(nested: NestedOffsets) -> dict[Partition, int]:
    """Return the offsets as a flat mapping, the inverse of `nested_offsets`."""
    return {
        (topic, partition): offset for topic, partitions in nested.items() for partition, offset in partitions.items()
    }


def offsets_to_json(offsets: Offsets) -> str:
    """Return `{"logs":{"0":12}}`, the form that Spark's Kafka source takes, with sorted keys."""
    return json.dumps(nested_offsets(offsets), separators=(",", ":"))


def offsets_from_json(text: str) -> dict[Partition, int]:
    """Return the offsets that `offsets_to_json` has written.

    Raises:
        msgspec.DecodeError: The text is not of this form.
    """
    return flat_offsets(_NESTED_OFFSETS.decode(text))


def furthest(first: Offsets, second: Offsets) -> dict[Partition, int]:
    """Return the larger of the two next offsets of each partition."""
    return {at: max(first.get(at, 0), second.get(at, 0)) for at in {*first, *second}}


def is_below(offsets: Offsets, column: Callable[[str], Any]) -> Any:
    """Return the predicate "the position of a row is below the offsets", for Spark and for polars.

    A row of a partition that the offsets do not name is not below them.

    Args:
        offsets: The next offset of each topic and partition.
        column: Returns the column of a name: `pyspark.sql.functions.col` or `polars.col`.
    """
    terms = [column("offset") < 0]  # so that there is a term without offsets, too; no row has such an offset
    terms += [
        (column("topic") == topic) & (column("partition") == partition) & (column("offset") < offset)
        for (topic, partition), offset in sorted(offsets.items())
    ]
    # As a balanced tree: both engines take seconds for a chain of a thousand terms, or overflow the stack.
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        terms = [first | second for first, second in pairs] + terms[len(terms) & ~1 :]
    return terms[0]


# The note of a commit


class CommitNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a commit of bronze or silver records in its userMetadata.

    Attributes:
        offsets: The next offsets.
        last_ingest: Of bronze: the ingest instant of the commit's batch.
        ingested_on: Of silver: the ingest day of the last row read.
        enrichment: Of silver: the versions of the enrichment data.
    """

    offsets: NestedOffsets
    last_ingest: Instant | None = None
    ingested_on: date | None = None
    enrichment: dict[str, str] = {}

    @property
    def bronze_progress(self) -> BronzeProgress | None:
        """The progress of bronze; None if the note has no instant."""
        is_complete = self.last_ingest is not None or not self.offsets
        return BronzeProgress(flat_offsets(self.offsets), self.last_ingest) if is_complete else None

    @property
    def silver_progress(self) -> SilverProgress | None:
        """The progress of silver; None if the note has no day."""
        is_complete = self.ingested_on is not None or not self.offsets
        return SilverProgress(flat_offsets(self.offsets), self.ingested_on, self.enrichment) if is_complete else None


_NESTED_OFFSETS = msgspec.json.Decoder(NestedOffsets)
_COMMIT_NOTE = msgspec.json.Decoder(CommitNote)


def note_to_json(note: CommitNote) -> str:
    """Return the userMetadata of a commit."""
    return msgspec.json.encode(note).decode()


def note_from_json(text: str | None) -> CommitNote | None:
    """Return the note in the userMetadata of a commit; None if it has none."""
    try:
        return _COMMIT_NOTE.decode(text or "")
    except msgspec.DecodeError:
        return None


class Commit(NamedTuple):
    """The parts of a commit in the log; each is None if the commit lacks it."""

    operation: str | None
    user_metadata: str | None


def newest_note(newest_first: Iterable[Commit]) -> CommitNote | None:
    """Return the note of the newest commit with rows; None if it has none.

    A table without any commit with rows has a note without offsets.

    Args:
        newest_first: The commits of the table, or as many of them as the log still has.
    """
    for commit in newest_first:
        note = note_from_json(commit.user_metadata)
        if note is not None:
            return note
        if commit.operation not in OPERATIONS_WITHOUT_ROWS:
            return None
    return CommitNote({})


# Progress as Spark reads it from a lake


def read_bronze_progress(lake: Lake) -> BronzeProgress:
    """Return how far bronze has read: from its notes, or from all its rows if it has no note."""
    return noted_bronze_progress(lake) or bronze_progress_of_rows(lake.read(RAW_LOGS))


def noted_bronze_progress(lake: Lake) -> BronzeProgress | None:
    """Return how far bronze has read according to its notes, without a Spark job; None if it has no note."""
    note = newest_note(_commits(lake, RAW_LOGS, newest=lake.version(RAW_LOGS)))
    return note.bronze_progress if note else None


def bronze_progress_of_rows(records: DataFrame) -> BronzeProgress:
    """Return how far bronze has read according to its rows, in one pass."""
    partitions = _per_partition(records, {"offset": "max", "ingested_at": "max"})
    return BronzeProgress(
        offsets=_next_offsets(partitions),
        last_ingest=max((partition["max(ingested_at)"] for partition in partitions), default=None),
    )


def read_silver_progress(lake: Lake, *, version: int | None = None) -> SilverProgress:
    """Return how far silver has read at a version, by default the newest: from its notes, else from all its rows."""
    newest = lake.version(EVENTS) if version is None else version
    note = newest_note(_commits(lake, EVENTS, newest=newest))
    noted = note.silver_progress if note else None
    return noted or summarize_events(lake.read(EVENTS, version=version)).progress


@dataclass(frozen=True)
class EventsSummary:
    """A set of silver rows: their number, the progress that they show, and their event days."""

    rows: int
    progress: SilverProgress
    days: list[date]


def summarize_events(events: DataFrame) -> EventsSummary:
    """Return the summary of silver rows, in one pass; persisted rows stay persisted.

    A query of `spark.sql` with `{events}` would not do: it drops a temporary view, and Spark then forgets the cache of
    the view's rows.
    """
    partitions = _per_partition(
        events, {"*": "count", "offset": "max", "ingested_at": "max", "event_on": "collect_set"}
    )
    ingested_on = max((partition["max(ingested_at)"].date() for partition in partitions), default=None)
    return EventsSummary(
        rows=sum(partition["count(1)"] for partition in partitions),
        progress=SilverProgress(_next_offsets(partitions), ingested_on),
        days=sorted({day for partition in partitions for day in partition["collect_set(event_on)"]}),
    )


def _per_partition(rows: DataFrame, aggregates: dict[str, str]) -> list[dict[str, Any]]:
    """Return the aggregates of each Kafka partition; their names, such as `max(offset)`, are Spark's.

    Aggregates by name need no import of pyspark, which this module must not have: the API reads notes without Spark.
    """
    rows_per_partition: list[dict[str, Any]] = rows.groupBy("topic", "partition").agg(aggregates).toArrow().to_pylist()
    return rows_per_partition


def _next_offsets(partitions: list[dict[str, Any]]) -> dict[Partition, int]:
    return {(row["topic"], row["partition"]): row["max(offset)"] + 1 for row in partitions}


def _commits(lake: Lake, table: Table, *, newest: int) -> Iterator[Commit]:
    for version in range(newest, -1, -1):
        commit = lake.commit_info(table, version) or {}
        yield Commit(commit.get("operation"), commit.get("userMetadata"))
