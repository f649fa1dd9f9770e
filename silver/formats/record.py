"""The input and the output of a decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from silver.formats.reasons import Reason

DETAIL_CHARACTERS = 200


class Record(NamedTuple):
    """The part of a Kafka record that a decoder may read; instants are microseconds since 1970, UTC.

    Attributes:
        value: The bytes, never empty.
        topic: Kafka topic.
        partition: Partition of the topic.
        offset: Offset in the partition.
        appended_at: Kafka's timestamp.
        latest_at: The latest plausible instant of the event.
        year: The header `year`, unparsed: the year of a stamp without one.
        occurrence: The header `occurrence`, unparsed: the number of this line among the equal lines of its file.
        earlier: The header `earlier`: what an earlier line of the same connection has reported.
    """

    value: bytes
    topic: str
    partition: int
    offset: int
    appended_at: int
    latest_at: int
    year: bytes | None
    occurrence: bytes | None
    earlier: bytes | None = None


class Decoded(NamedTuple):
    """The columns of `silver.events` that a decoder fills; `event_at` in microseconds since 1970."""

    event_id: str | None = None
    event_at: int | None = None
    action: str | None = None
    outcome: str | None = None
    failure_reason: str | None = None
    times: int | None = None
    username: str | None = None
    src_ip: str | None = None
    src_host: str | None = None
    src_port: int | None = None
    app: str | None = None
    host: str | None = None
    auth_method: str | None = None
    is_mfa: bool | None = None
    session_id: str | None = None
    user_agent: str | None = None
    device_id: str | None = None
    extra: str | None = None
    verdict: str = "accepted"
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Format:
    """A log format.

    Attributes:
        name: Value of the header `format`.
        version: Increase it when the decoder returns another row than before for some record.
        decode: The decoder: it never raises, and depends on the record alone.
    """

    name: str
    version: int
    decode: Callable[[Record], Decoded]


def refused(reason: Reason, detail: str, *, event_at: int | None = None) -> Decoded:
    """Return the columns of an ignored or broken record; a long detail is cut."""
    if len(detail) > DETAIL_CHARACTERS:
        detail = f"{detail[: DETAIL_CHARACTERS - 1]}…"
    return Decoded(event_at=event_at, verdict=reason.verdict, reason=reason.value, detail=detail)
