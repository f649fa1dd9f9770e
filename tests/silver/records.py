"""Kafka records as bronze keeps them, and what silver makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from silver.decode import RECORD_SCHEMA, DecodeRules, decode

Row = dict[str, Any]
Headers = Sequence[tuple[str, bytes | None] | None] | None

APPENDED_AT = datetime(2026, 2, 1, 12, tzinfo=UTC)
INGESTED_AT = datetime(2026, 2, 2, 12, 0, 5, tzinfo=UTC)
RULES = DecodeRules()
SSHD_HEADERS: Headers = [("format", b"sshd"), ("year", b"2026"), ("occurrence", b"0")]


def a_login(**fields: Any) -> bytes:
    """A successful login as JSON."""
    given = {"event_id": "e1", "event_at": "2026-02-01T11:59:59Z", "action": "login", "outcome": "success"}
    return json.dumps(given | fields).encode()


def a_login_with(field: str) -> bytes:
    """A successful login with a field that is written as it stands, such as `"src_port": NaN`."""
    return a_login()[:-1] + f", {field}}}".encode()


def a_line(message: str, *, stamp: str = "Jan 31 10:20:30", tag: str = "sshd[1]: ") -> bytes:
    """A line of syslog."""
    return f"{stamp} gate {tag}{message}".encode()


def a_record(value: bytes | None = None, headers: Headers = None, **columns: Any) -> Row:
    """A bronze row; a value that is None is a tombstone."""
    row = {"topic": "logs", "partition": 0, "offset": 7, "appended_at": APPENDED_AT, "ingested_at": INGESTED_AT}
    return row | {"value": value, "headers": headers_column(headers)} | columns


def headers_column(headers: Headers) -> list[Row | None] | None:
    """Headers as Arrow takes them."""
    if headers is None:
        return None
    return [None if header is None else {"key": header[0].encode(), "value": header[1]} for header in headers]


def batch_of(*records: Row) -> pa.RecordBatch:
    """The records as Spark hands them over."""
    return pa.RecordBatch.from_pylist(list(records), schema=RECORD_SCHEMA)


def decoded(*records: Row, rules: DecodeRules = RULES) -> list[Row]:
    """A silver row for each record."""
    rows: list[Row] = decode(batch_of(*records), rules).to_pylist()
    return rows


def login_row(value: bytes, **columns: Any) -> Row:
    """The silver row of a record of format login."""
    return decoded(a_record(value, **columns))[0]


def sshd_row(line: bytes, headers: Headers = SSHD_HEADERS, **columns: Any) -> Row:
    """The silver row of a line of format sshd."""
    return decoded(a_record(line, headers, **columns))[0]


def part_of(row: Row, *names: str) -> tuple[Any, ...]:
    """Some columns of a row."""
    return tuple(row[name] for name in names)
