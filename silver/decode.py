"""Decode Arrow batches of bronze rows to rows of `silver.events`, one for one; with Spark and without it.

A row depends on the record and on settings that all processes share, never on the clock or on other rows, so that
decoding again returns the same row. A record that can't be read is not an error: it is a row with the verdict `broken`
and a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import UsageError, name_hint
from lakehouse.tables.bronze import POSITION
from lakehouse.tables.silver import EVENTS, WINNER
from silver.enrich import address_of, agent_of
from silver.formats.instants import DAY, EPOCH, HOUR
from silver.formats.login import LOGIN
from silver.formats.reasons import Reason
from silver.formats.record import Decoded, Format, Record, refused
from silver.formats.sshd import SSHD

if TYPE_CHECKING:
    from lakehouse.settings import Settings

DECODERS = (LOGIN, SSHD)
FORMATS: Mapping[str, Format] = {decoder.name: decoder for decoder in DECODERS}
BY_HEADER = {name.encode(): decoder for name, decoder in FORMATS.items()}
INSTANT = pa.timestamp("us", tz="UTC")
# The columns of bronze that decoding reads. Header names are bytes, since Kafka does not require text.
RECORD_SCHEMA = pa.schema(
    {
        "value": pa.binary(),
        "headers": pa.list_(pa.struct({"key": pa.binary(), "value": pa.binary()})),
        "topic": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "appended_at": INSTANT,
        "ingested_at": INSTANT,
    }
)
EVENT_SCHEMA = EVENTS.arrow_schema()
Headers = Mapping[bytes, bytes]
# Kafka's value for a record without a timestamp, in microseconds.
NO_TIMESTAMP = -1_000
ADDRESS_COLUMNS = ("country", "is_private")
AGENT_COLUMNS = ("agent_family", "os_family", "is_bot")


@dataclass(frozen=True)
class DecodeRules:
    """The settings that decoding depends on.

    Attributes:
        default_format: The format of records without a header `format`.
        max_age: An event that is older than this at its append time is implausible; in microseconds.
        max_clock_skew: An event dated later than this after its append time is implausible; in microseconds.
    """

    default_format: str = "login"
    max_age: int = 3653 * DAY
    max_clock_skew: int = 24 * HOUR

    @classmethod
    def from_settings(cls, settings: Settings) -> DecodeRules:
        """Return the rules of the settings.

        Raises:
            UsageError: LOGINLAKE_DEFAULT_FORMAT is not a known format.
        """
        if settings.default_format not in FORMATS:
            raise UsageError(
                f"LOGINLAKE_DEFAULT_FORMAT={settings.default_format} is not a known format",
                hint=name_hint(settings.default_format, FORMATS),
            )
        return cls(settings.default_format, settings.max_event_age_days * DAY, settings.max_clock_skew_hours * HOUR)


def decode(records: pa.RecordBatch, rules: DecodeRules) -> pa.RecordBatch:
    """Return one row of `silver.events` per record; no row is a duplicate yet.

    Args:
        records: Bronze rows with value, headers, topic, partition, offset, appended_at and ingested_at.
        rules: The settings that decoding depends on.
    """
    records = records.select(RECORD_SCHEMA.names).cast(RECORD_SCHEMA)
    formats, rows = [], []
    for record, name in _records(records, rules):
        decoder = BY_HEADER.get(name)
        formats.append(decoder)
        rows.append(_decoded(record, decoder, rules=rules) if decoder else _of_unknown_format(name))
    return _batch(rows, formats, records=records)


def headers_of(headers: pa.ListArray) -> Iterator[Headers]:
    """Yield the headers of each record by name: the last one of a repeated name, and none without a value."""
    named = zip(*(part.to_pylist() for part in headers.flatten().flatten()), strict=True)
    for count in pc.list_value_length(headers).fill_null(0).to_pylist():
        yield {key: value for key, value in islice(named, count) if value is not None}


def _records(records: pa.RecordBatch, rules: DecodeRules) -> Iterator[tuple[Record, bytes]]:
    """Yield each record with the name of its format."""
    columns = (records[name].to_pylist() for name in ("value", *POSITION))
    appended = records["appended_at"].cast(pa.int64()).fill_null(NO_TIMESTAMP).to_pylist()
    default, skew = rules.default_format.encode(), rules.max_clock_skew
    for value, topic, partition, offset, at, headers in zip(
        *columns, appended, headers_of(records["headers"]), strict=True
    ):
        year, occurrence, earlier = headers.get(b"year"), headers.get(b"occurrence"), headers.get(b"earlier")
        yield (
            Record(value or b"", topic, partition, offset, at, at + skew, year, occurrence, earlier),
            headers.get(b"format", default),
        )


def _decoded(record: Record, decoder: Format, *, rules: DecodeRules) -> Decoded:
    if not record.value:
        return refused(Reason.EMPTY_RECORD, "The record has no value")
    decoded = decoder.decode(record)
    at = decoded.event_at
    if at is not None and not record.appended_at - rules.max_age <= at <= record.latest_at:
        return refused(Reason.IMPLAUSIBLE_TIME, f"{_shown(at)} for a record of {_shown(record.appended_at)}")
    return decoded


def _of_unknown_format(name: bytes) -> Decoded:
    return refused(Reason.UNKNOWN_FORMAT, f"{name.decode(errors='replace')!r} is not one of {', '.join(FORMATS)}")


def _batch(rows: Sequence[Decoded], formats: Sequence[Format | None], *, records: pa.RecordBatch) -> pa.RecordBatch:
    """Return the decoded columns with those computed from them and those copied from the records."""
    decoded = zip(Decoded._fields, zip(*rows, strict=True) if rows else repeat(()), strict=False)
    columns: dict[str, Any] = {name: _typed(name, values) for name, values in decoded}
    columns |= _enriched(ADDRESS_COLUMNS, columns["src_ip"], lookup=address_of)
    columns |= _enriched(AGENT_COLUMNS, columns["user_agent"], lookup=agent_of)
    columns |= {name: records[name] for name in (*POSITION, "appended_at", "ingested_at")}
    columns["event_on"] = _days(columns["event_at"], records["ingested_at"])
    columns["format"] = _typed("format", [decoder and decoder.name for decoder in formats])
    columns["decoder_version"] = _typed("decoder_version", [decoder and decoder.version for decoder in formats])
    columns |= {name: pa.nulls(len(rows), EVENT_SCHEMA.field(name).type) for name in WINNER}
    return pa.RecordBatch.from_pydict(columns, schema=EVENT_SCHEMA)


def _enriched(
    names: Sequence[str], values: pa.Array, *, lookup: Callable[[str | None], tuple[Any, ...]]
) -> dict[str, pa.Array]:
    """Return columns that are looked up by a value, once for each distinct value."""
    coded = values.dictionary_encode()
    by_code = [lookup(value) for value in coded.dictionary.to_pylist()]
    columns = zip(*by_code, strict=True) if by_code else repeat(())
    return {name: _typed(name, column).take(coded.indices) for name, column in zip(names, columns, strict=False)}


def _days(event_at: pa.Array, ingested_at: pa.Array) -> pa.Array:
    """Return the UTC day of each event; the ingest day if the event has no instant."""
    return pc.coalesce(event_at, ingested_at).cast(pa.date32())


def _typed(name: str, values: Sequence[Any]) -> pa.Array:
    return pa.array(values, EVENT_SCHEMA.field(name).type)


def _shown(at: int) -> str:
    """Return an instant as ISO 8601; as microseconds if it lies outside the calendar of Python."""
    try:
        return (EPOCH + timedelta(microseconds=at)).isoformat()
    except OverflowError:
        return f"{at} µs"
