"""Format `sshd`: lines of OpenSSH's server in syslog form, old and new spellings, stamps in UTC.

Lines of other programs and of connections are ignored. A line says neither its year nor which of two equal lines it
is: `producer.replay` sends both as headers.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import NamedTuple

from silver.formats.instants import instant_of, to_micros, year_of
from silver.formats.reasons import Reason
from silver.formats.record import DETAIL_CHARACTERS, Decoded, Format, Record, refused
from silver.formats.sources import source_of

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# From 29 February 1896 to the next one: the longest that a stamp waits for a year that has it.
LONGEST_WAIT_YEARS = 8
PROGRAMS = ("sshd", "sshd-session", "sshd-auth")
# Of headers; the length keeps them within what a number holds.
COUNT = re.compile(rb"\d{1,18}")
YEAR = re.compile(rb"\d{4}")

# `Mar 27 13:06:56`, or RFC 3339 as newer syslog daemons write it. Some lines name no program (`-- MARK --`).
LINE = re.compile(
    r"(?:(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<clock>\d\d:\d\d:\d\d)|(?P<instant>\d{4}-\d\d-\d\dT\S+))"
    r" (?P<host>\S+) (?:(?P<program>[^\s:\[]+)(?:\[\d+\])?: )?(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
REPEATED = re.compile(r"message repeated (?P<times>[1-9]\d{0,8}) times: \[ (?P<message>.*)\]", re.ASCII | re.DOTALL)
# A user name is what an attacker chose, spaces and " from " included: it reaches to the last source of the line.
FOR = r"for (?P<unknown>invalid user )?(?P<user>.*)"
FROM = r" from (?P<source>\S+)(?: port (?P<port>\d{1,5}))?(?: ssh2(?:: .*)?)?(?: \[preauth\])?"
ACCEPTED = re.compile(rf"Accepted (?P<method>\S+) for (?P<user>.*){FROM}", re.ASCII | re.DOTALL)
FAILED = re.compile(rf"Failed (?P<method>\S+) {FOR}{FROM}", re.ASCII | re.DOTALL)
INVALID = re.compile(rf"Invalid user (?P<user>.*){FROM}", re.ASCII | re.DOTALL)
EXCEEDED = re.compile(rf"(?:error: )?maximum authentication attempts exceeded {FOR}{FROM}", re.ASCII | re.DOTALL)
CLOSED = re.compile(r"pam_unix\(sshd:session\): session closed for user (?P<user>.*)", re.DOTALL)
# What sshd writes, with port 65535, where the other side is gone before it was asked for its address.
GONE = "UNKNOWN"


class Said(NamedTuple):
    """What a message of sshd says, without where and when."""

    action: str
    outcome: str | None
    failure_reason: str | None
    user: str
    source: str | None = None
    port: str | None = None
    method: str | None = None


def decode(record: Record) -> Decoded:
    """The event that a line holds, or why it holds none."""
    try:
        line = record.value.rstrip().decode()
    except UnicodeDecodeError as error:
        return refused(Reason.NOT_UTF8, f"Byte {error.start}: {error.reason}")
    if not line:
        return refused(Reason.EMPTY_RECORD, "The line is white space")
    parts = LINE.fullmatch(line)
    if parts is None:
        return refused(Reason.NOT_SYSLOG, f"No stamp, host and message in {line[:DETAIL_CHARACTERS]!r}")
    event_at = _event_at(parts, record)
    if isinstance(event_at, Decoded):
        return event_at
    if parts["program"] not in PROGRAMS:
        return refused(Reason.OTHER_PROGRAM, f"A line of {parts['program'] or 'no program'}", event_at=event_at)
    return _decoded(parts, event_at, record=record)


def _decoded(parts: re.Match[str], event_at: int, *, record: Record) -> Decoded:
    repeated = REPEATED.fullmatch(parts["message"])
    said = said_by(repeated["message"] if repeated else parts["message"])
    if said is None:
        return refused(Reason.NOT_A_LOGIN, parts["message"], event_at=event_at)
    if record.occurrence is not None and not COUNT.fullmatch(record.occurrence):
        return refused(Reason.BAD_HEADER, f"occurrence is {record.occurrence!r}")
    source, port = source_of(said.source), int(said.port) if said.port else None
    if source is None:
        return refused(Reason.BAD_ADDRESS, f"The source is {said.source!r}")
    if port is not None and port > 65_535:
        return refused(Reason.BAD_VALUE, f"The port is {port}")
    return Decoded(
        event_id=_event_id(parts["host"], record),
        event_at=event_at,
        action=said.action,
        outcome=said.outcome,
        failure_reason=said.failure_reason,
        times=int(repeated["times"]) if repeated else 1,
        username=said.user or None,
        src_ip=source.ip,
        src_host=source.host,
        src_port=port,
        app="sshd",
        host=parts["host"],
        auth_method=said.method,
    )


def said_by(message: str) -> Said | None:
    """What a message says; None where it is not about a login, logout, lockout or probe."""
    if found := ACCEPTED.fullmatch(message):
        return Said("login", "success", None, found["user"], *_source(found), found["method"])
    if found := FAILED.fullmatch(message):
        reason = "unknown_user" if found["unknown"] else "invalid_credentials"
        return Said("login", "failure", reason, found["user"], *_source(found), found["method"])
    if found := INVALID.fullmatch(message):
        return Said("probe", None, "unknown_user", found["user"], *_source(found))
    if found := EXCEEDED.fullmatch(message):
        return Said("lockout", None, "too_many_attempts", found["user"], *_source(found))
    if found := CLOSED.fullmatch(message):
        return Said("logout", None, None, found["user"])
    return None


def _source(found: re.Match[str]) -> tuple[str | None, str | None]:
    """Source and port as the line has them; none where sshd could not tell."""
    return (None, None) if found["source"] == GONE else (found["source"], found["port"])


def _event_at(parts: re.Match[str], record: Record) -> int | Decoded:
    if parts["instant"]:
        return _instant(parts["instant"])
    if record.year is None:
        return _closest_before(parts, record.latest_at)
    if not YEAR.fullmatch(record.year):
        return refused(Reason.BAD_HEADER, f"year is {record.year!r}")
    at = _in_year(parts, int(record.year))
    return at if at is not None else refused(Reason.BAD_TIME, f"{_stamp(parts)} is no instant of {int(record.year)}")


def _instant(text: str) -> int | Decoded:
    at = instant_of(text)
    return at if at is not None else refused(Reason.BAD_TIME, f"{text!r} is no instant with a time zone")


def _closest_before(parts: re.Match[str], latest_at: int) -> int | Decoded:
    """The stamp in the year that puts it closest before the latest plausible instant."""
    latest = year_of(latest_at)
    for year in range(latest, latest - LONGEST_WAIT_YEARS - 1, -1):
        at = _in_year(parts, year)
        if at is not None and at <= latest_at:
            return at
    return refused(Reason.BAD_TIME, f"{_stamp(parts)} is no instant of any year")


def _in_year(parts: re.Match[str], year: int) -> int | None:
    hour, minute, second = (int(part) for part in parts["clock"].split(":"))
    try:
        at = datetime(year, MONTHS.index(parts["month"]) + 1, int(parts["day"]), hour, minute, second, tzinfo=UTC)
    except ValueError:  # no such month, day or time of day
        return None
    return to_micros(at)


def _stamp(parts: re.Match[str]) -> str:
    return f"{parts['month']} {parts['day']} {parts['clock']}"


def _event_id(host: str, record: Record) -> str:
    """From host, line and occurrence; without an occurrence from the position, so that no line is its duplicate.

    Without the white space at its end, as `producer.replay` counts which lines are equal.
    """
    if record.occurrence is None:
        return f"{record.topic}:{record.partition}:{record.offset}"
    parts = (host.encode(), record.value.rstrip(), b"%d" % int(record.occurrence))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


SSHD = Format(name="sshd", version=1, decode=decode)
