"""Format `sshd`: lines of OpenSSH's server as syslog daemons write them, old and new spellings.

Lines of other programs, and lines about connections, are ignored. A line that reports an outcome and can't be read is
broken, never ignored. A line contains neither its year, nor which of several equal lines it is, nor what an earlier
line of its connection reported: `producer.replay` sends these as headers.
"""

from __future__ import annotations

import hashlib
import re

from silver.formats.reasons import Reason
from silver.formats.record import DETAIL_CHARACTERS, Decoded, Format, Record, refused
from silver.formats.sources import NO_SOURCE, source_of
from silver.formats.sshd_messages import REPORTS_OUTCOME, Report, is_first_question, read_message
from silver.formats.syslog import MESSAGE_BEGINNINGS, Line, has_year, instant_in, parse_line

PROGRAMS = ("sshd", "sshd-session", "sshd-auth")
# What some daemons append to a line, or a reader leaves at its end.
TRAILING = b" \t\r\n\v\f\0"
# Of headers; the length keeps them within what a number holds.
COUNT = re.compile(rb"\d{1,18}")
YEAR = re.compile(rb"\d{4}")
REPEATED = re.compile(r"message repeated (?P<times>[1-9]\d{0,8}) times: \[ ?(?P<message>.*?)\]?", re.ASCII | re.DOTALL)
REPEATED_BY_SYSLOG_NG = re.compile(
    r"Last message '(?P<message>.*)' repeated (?P<times>[1-9]\d{0,8}) times, suppressed by syslog-ng on \S+",
    re.ASCII | re.DOTALL,
)
# Does not quote what was repeated.
LAST_MESSAGE_REPEATED = re.compile(r"last message repeated \d+ times?", re.IGNORECASE)
# In a line whose program is unknown: sshd's own words for an outcome, and those after which it names the client.
OUTCOME_ANYWHERE = re.compile(
    r"authentication attempts exceeded for | not allowed because |ROOT LOGIN REFUSED FROM "
    r"| by PAM account configuration|Account \S+ has expired"
)
CLIENT_FOLLOWS = re.compile(
    r"(?:Accepted|Failed) \S+ for |(?:Invalid|Illegal) user |authenticating user |PAM: [A-Za-z][\w ,;'-]* for "
)
CLIENT = re.compile(r" from | port \d")
# Values of the header `earlier`.
LOCKOUT_REPORTED, DENIAL_COUNTED, USER_DENIED, ATTEMPT_COUNTED = b"lockout", b"denial", b"denied-user", b"attempt"


def decode(record: Record) -> Decoded:
    """Return the event that a line holds, or why it holds none."""
    text = _text_of(record)
    if isinstance(text, Decoded):
        return text
    line = parse_line(text)
    if line is None:
        return refused(Reason.NOT_SYSLOG, f"No stamp at the start of {text[:DETAIL_CHARACTERS]!r}")
    event_at = _event_at(line, record)
    if isinstance(event_at, Decoded):
        return event_at
    if line.program in PROGRAMS or line.is_container:
        return _decoded(line, event_at, record=record)
    return _of_another_program(line, text, event_at=event_at)


def _text_of(record: Record) -> str | Decoded:
    try:
        text = record.value.rstrip(TRAILING).decode()
    except UnicodeDecodeError as error:
        return refused(Reason.NOT_UTF8, f"Byte {error.start}: {error.reason}")
    return text or refused(Reason.EMPTY_RECORD, "The line is white space")


def _of_another_program(line: Line, text: str, *, event_at: int) -> Decoded:
    """Return why a line is ignored, or broken if it reports an outcome and its program can't be read."""
    if line.program is not None and line.program not in MESSAGE_BEGINNINGS:
        return refused(Reason.OTHER_PROGRAM, f"A line of {line.program}", event_at=event_at)
    if _reports_outcome(text):
        return refused(Reason.UNREADABLE_OUTCOME, text)
    if LAST_MESSAGE_REPEATED.search(text):
        return refused(Reason.REPEATED_LINE, text, event_at=event_at)
    return refused(Reason.OTHER_PROGRAM, "A line of no program", event_at=event_at)


def _reports_outcome(text: str) -> bool:
    """Return True if a line has sshd's words for an outcome anywhere."""
    found = CLIENT_FOLLOWS.search(text)
    return bool(OUTCOME_ANYWHERE.search(text) or (found and CLIENT.search(text, found.end())))


def _decoded(line: Line, event_at: int, *, record: Record) -> Decoded:
    """Return what a line of sshd reports."""
    repeated = REPEATED.fullmatch(line.message) or REPEATED_BY_SYSLOG_NG.fullmatch(line.message)
    message = repeated["message"] if repeated else line.message
    if is_first_question(message):
        return refused(Reason.NOT_AN_ATTEMPT, message, event_at=event_at)
    report = read_message(message)
    if report is None:
        return _without_report(message, event_at)
    if record.occurrence is not None and not COUNT.fullmatch(record.occurrence):
        return refused(Reason.BAD_HEADER, f"occurrence is {record.occurrence!r}")
    if _is_counted_already(report, record):
        return refused(Reason.SAME_ATTEMPT, message, event_at=event_at)
    return _accepted(report, line, record=record, event_at=event_at, times=int(repeated["times"]) if repeated else 1)


def _accepted(report: Report, line: Line, *, record: Record, event_at: int, times: int) -> Decoded:
    source = source_of(report.source)
    if source is None:
        return refused(Reason.BAD_ADDRESS, f"The source is {report.source!r}")
    is_denied = report.failure_reason == "unknown_user" and report.action == "login" and record.earlier == USER_DENIED
    return Decoded(
        event_id=_event_id(line.host, record),
        event_at=event_at,
        action=report.action,
        outcome=report.outcome,
        failure_reason="denied_by_policy" if is_denied else report.failure_reason,
        times=times,
        username=report.username or None,
        src_ip=source.ip,
        src_host=source.host,
        src_port=None if source == NO_SOURCE else report.port,
        app="sshd",
        host=line.host,
        auth_method=report.method,
        detail=report.detail,
    )


def _without_report(message: str, event_at: int) -> Decoded:
    """Return why a message of sshd is not an event: it reports no outcome, or one that can't be read."""
    if LAST_MESSAGE_REPEATED.fullmatch(message):
        return refused(Reason.REPEATED_LINE, message, event_at=event_at)
    if REPORTS_OUTCOME.match(message):
        return refused(Reason.UNREADABLE_OUTCOME, message)
    return refused(Reason.NOT_A_LOGIN, message, event_at=event_at)


def _is_counted_already(report: Report, record: Record) -> bool:
    """Return True if an earlier line of the connection has reported the same attempt."""
    if record.earlier == ATTEMPT_COUNTED:
        return report.outcome == "failure" and report.method is not None
    if record.earlier == LOCKOUT_REPORTED:
        return report.action == "probe" and report.failure_reason is None
    return record.earlier == DENIAL_COUNTED and report.action == "login" and report.failure_reason == "unknown_user"


def _event_at(line: Line, record: Record) -> int | Decoded:
    """Return the instant of a line; a stamp without a year takes the header `year`, else the latest plausible year."""
    year = None
    if record.year is not None and not has_year(line.stamp):
        if not YEAR.fullmatch(record.year):
            return refused(Reason.BAD_HEADER, f"year is {record.year!r}")
        year = int(record.year)
    at = instant_in(line.stamp, year=year, latest_at=record.latest_at)
    return at if at is not None else refused(Reason.BAD_TIME, f"{line.stamp[0].strip()!r} is not an instant")


def _event_id(host: str | None, record: Record) -> str:
    """Return the identity of a line: a hash of host, line and occurrence; without an occurrence, its Kafka position.

    White space at the end of the line does not count, as in `producer.replay`, which counts equal lines.
    """
    if record.occurrence is None:
        return f"{record.topic}:{record.partition}:{record.offset}"
    parts = ((host or "").encode(), record.value.rstrip(), b"%d" % int(record.occurrence))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


SSHD = Format(name="sshd", version=3, decode=decode)
