"""How an event becomes a Kafka record: the bytes, the headers and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from producer.dirt import BROKEN_LINES, BROKEN_LOGINS, FOREIGN_LINES, FOREIGN_LOGINS, Spoilt
from producer.events import Event, instant_of, login_json, sshd_line
from producer.records import Headers, Record

_LOGIN_HEADERS: Headers = [("format", b"login")]


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
    return Record(event.client.key, login_json(event), _LOGIN_HEADERS, event.event_id, at)


def sshd_record(event: Event, at: int) -> Record:
    """The event as a line of syslog."""
    return Record(event.client.key, sshd_line(event), sshd_headers(event.at), event.event_id, at)


def login_headers(_at: int) -> Headers:
    """A login record says the rest by itself."""
    return _LOGIN_HEADERS


def sshd_headers(at: int) -> Headers:
    """What an sshd line lacks: its year, and which of its equals it is."""
    return line_headers("sshd", instant_of(at).year, occurrence=1)


@lru_cache(maxsize=256)
def line_headers(name: str, year: int | None, *, occurrence: int) -> Headers:
    """The headers of a line without an identity; a year that is not known is left out."""
    of_year = [("year", b"%d" % year)] if year is not None else []
    return [("format", name.encode()), *of_year, ("occurrence", b"%d" % occurrence)]


FORMATS = {
    "login": Format(login_record, login_headers, BROKEN_LOGINS, FOREIGN_LOGINS),
    "sshd": Format(sshd_record, sshd_headers, BROKEN_LINES, FOREIGN_LINES),
}
