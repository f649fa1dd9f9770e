"""What the producer hands to Kafka, and how an event becomes it in each format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import msgspec

from producer.events import Event, instant_of, login_json, sshd_line
from producer.malformed import BROKEN_LINES, BROKEN_LOGINS, FOREIGN_LINES, FOREIGN_LOGINS, Spoilt

Headers: TypeAlias = list[tuple[str, bytes]]

LOGIN_HEADERS: Headers = [("format", b"login")]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record to be.

    Attributes:
        key: Decides the partition; None spreads over all.
        value: The bytes as they are; None is a tombstone.
        headers: `format`, and what a line of that format lacks.
        event_id: Identity of the event as silver will have it, for ledger and truth file; None where none is known.
        at: Instant at which a live stream sends it, milliseconds since 1970.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    event_id: bytes | None = None
    at: int = 0


@dataclass(frozen=True)
class Format:
    """A log format that can be generated.

    Attributes:
        record: The event as a record that is sent at that instant.
        headers: What a record of an event of that instant carries.
        broken: Ways to spoil an event, by name.
        foreign: Ways to make of it something well-formed that is no event of ours.
    """

    record: Callable[[Event, int], Record]
    headers: Callable[[int], Headers]
    broken: Mapping[str, Spoilt]
    foreign: Mapping[str, Spoilt]


def login_record(event: Event, at: int) -> Record:
    """The event as a JSON object."""
    return Record(event.client.key, login_json(event), LOGIN_HEADERS, event.event_id, at)


def sshd_record(event: Event, at: int) -> Record:
    """The event as a line of syslog, the only one of its kind."""
    line = sshd_line(event)
    return Record(event.client.key, line, _year_headers(event.at), _line_id(event.client.host, line), at)


@lru_cache(maxsize=256)
def sshd_headers(year: int, occurrence: int) -> Headers:
    """What an sshd line lacks: its year, and how many equal ones came before it."""
    return [("format", b"sshd"), ("year", b"%d" % year), ("occurrence", b"%d" % occurrence)]


def _line_id(host: str, line: bytes) -> bytes:
    """The identity of a line that no other equals: of what it is made docs/formats.md says."""
    return hashlib.sha256(b"\0".join((host.encode(), line, b"0"))).hexdigest().encode()


def _year_headers(at: int) -> Headers:
    return sshd_headers(instant_of(at).year, 0)


FORMATS = {
    "login": Format(login_record, lambda _: LOGIN_HEADERS, BROKEN_LOGINS, FOREIGN_LOGINS),
    "sshd": Format(sshd_record, _year_headers, BROKEN_LINES, FOREIGN_LINES),
}
