"""What goes into a decoder and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from silver.formats.reasons import Reason

DETAIL_CHARACTERS = 200


class Record(NamedTuple):
    """A Kafka record as far as a decoder may look at it; instants are microseconds since 1970, UTC.

    Attributes:
        value: The bytes, never empty.
        topic: Kafka topic.
        partition: Partition of the topic.
        offset: Offset in the partition.
        appended_at: Kafka's timestamp.
        latest_at: The latest plausible instant of the event.
        year: Header `year` as it came: year of a stamp that has none.
        occurrence: Header `occurrence` as it came: which of the equal lines of its file this is.
        earlier: Header `earlier`: what an earlier line of the same connection has reported.
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
    """What a decoder made of one record: columns of `silver.events`, `event_at` in microseconds since 1970."""

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
    """A log format that we read.

    Attributes:
        name: Value of the header `format`.
        version: Grows when the decoder reads some record differently than before.
        decode: The decoder: total, and a function of the record alone.
    """

    name: str
    version: int
    decode: Callable[[Record], Decoded]


def refused(reason: Reason, detail: str, *, event_at: int | None = None) -> Decoded:
    """An ignored or broken record; a long detail is cut."""
    if len(detail) > DETAIL_CHARACTERS:
        detail = f"{detail[: DETAIL_CHARACTERS - 1]}…"
    return Decoded(event_at=event_at, verdict=reason.verdict, reason=reason.value, detail=detail)
