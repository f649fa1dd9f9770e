"""Kafka records, and how each log format turns an event into one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import msgspec

from producer.events import Event, instant_of, login_json, sshd_line
from producer.malformed import BROKEN_LINES, BROKEN_LOGINS, FOREIGN_LINES, FOREIGN_LOGINS, Corruption

Headers: TypeAlias = list[tuple[str, bytes]]

# A line of sshd names neither the second factor nor the session, and the logins of all applications are of sshd.
WITHOUT_FACTORS_AND_SESSIONS = frozenset(
    {"mfa_fatigue", "password_spray_distributed", "session_replay", "concurrent_sessions"}
)
LOGIN_HEADERS: Headers = [("format", b"login")]


class Record(msgspec.Struct, frozen=True, gc=False):
    """A Kafka record to send.

    Attributes:
        key: Determines the partition; records without a key are spread over all partitions.
        value: The bytes to send; None is a tombstone.
        headers: `format`, and the values that a line of that format does not contain.
        event_id: The event id that silver will assign, for ledger and ground truth; None if unknown.
        at: Instant at which a live stream sends the record, milliseconds since 1970.
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
        record: Returns the record of an event that is sent at an instant.
        headers: Returns the headers of a record whose event happened at an instant.
        broken: Corruptions that make a record undecodable, by name.
        foreign: Corruptions that make a well-formed record that is not a login event, by name.
        undetectable: Names of rules that read what a record of the format does not contain.
        app: The application of all records; None if each record names its own.
    """

    record: Callable[[Event, int], Record]
    headers: Callable[[int], Headers]
    broken: Mapping[str, Corruption]
    foreign: Mapping[str, Corruption]
    undetectable: frozenset[str] = frozenset()
    app: str | None = None


def login_record(event: Event, at: int) -> Record:
    """Return the event as a JSON record."""
    return Record(event.client.key, login_json(event), LOGIN_HEADERS, event.event_id, at)


def sshd_record(event: Event, at: int) -> Record:
    """Return the event as a record with a unique syslog line."""
    line = sshd_line(event)
    return Record(event.client.key, line, _year_headers(event.at), _line_id(event.client.host, line), at)


@lru_cache(maxsize=256)
def sshd_headers(year: int, occurrence: int, *, earlier: bytes | None = None) -> Headers:
    """Return the headers of an sshd line.

    Args:
        year: Of its timestamp.
        occurrence: The number of equal lines before it in its file.
        earlier: What an earlier line of its connection reported, see `producer.connections`.
    """
    headers = [("format", b"sshd"), ("year", b"%d" % year), ("occurrence", b"%d" % occurrence)]
    return headers if earlier is None else [*headers, ("earlier", earlier)]


def _line_id(host: str, line: bytes) -> bytes:
    """Return the event id of a line without equal lines before it, as documented for format sshd."""
    return hashlib.sha256(b"\0".join((host.encode(), line, b"0"))).hexdigest().encode()


def _year_headers(at: int) -> Headers:
    return sshd_headers(instant_of(at).year, 0)


FORMATS = {
    "login": Format(login_record, lambda _: LOGIN_HEADERS, BROKEN_LOGINS, FOREIGN_LOGINS),
    "sshd": Format(sshd_record, _year_headers, BROKEN_LINES, FOREIGN_LINES, WITHOUT_FACTORS_AND_SESSIONS, "sshd"),
}
