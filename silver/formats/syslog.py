"""Headers of syslog lines: instant, host, program and message, in the spellings of the daemons in use.

Covered are RFC 3164 and RFC 5424, RFC 3339 stamps with `T` or a blank (rsyslog, journalctl, macOS), a facility before
or after the host (BusyBox, AIX, FreeBSD, syslog-ng, Solaris), lines without a host (ESXi, `journalctl --no-hostname`),
the address of a relay, and the prefixes that `docker logs -t` and Kubernetes put before a line.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

from silver.formats.instants import instant_of, to_micros, year_of

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# From 29 February 1896 to the next one: the longest time without a year that has the stamp's day.
LONGEST_WAIT_YEARS = 8
# Facility, host, relay and program: no known daemon writes more words before the message.
MOST_WORDS = 4

_FACILITIES = r"(?:kern|user|mail|daemon|auth|authpriv|security|syslog|lpr|news|uucp|cron|ftp|local[0-7])"
_SEVERITIES = r"(?:emerg|alert|crit|critical|err|error|warn|warning|notice|info|debug)"
_FACILITY = rf"(?:{_FACILITIES}(?:\|{_FACILITIES})?[.:]{_SEVERITIES})"

# `docker logs -t` writes nine digits of a second; Kubernetes (CRI) names the stream, then F or P.
CONTAINER = re.compile(
    r"(?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?:stdout|stderr) [FP] "
)
DOCKER = re.compile(r"(?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) ")
# How messages of sshd begin that look as if they named a program.
MESSAGE_BEGINNINGS = ("error", "fatal", "PAM", "ssh_dispatch_run_fatal")
PRIORITY = re.compile(r"<\d{1,3}>")
# RFC 5424: version, instant, host, program, process, message id, structured data, then the message.
VERSION_1 = re.compile(
    r"1 (?P<instant>\S+) (?P<host>\S+) (?P<program>\S+) \S+ \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+)"
    r"(?: \ufeff?(?P<message>.*))?",
    re.DOTALL,
)
STAMP = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?"
    r"(?:(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2}) (?:(?P<year>\d{4}) )?(?P<clock>\d\d:\d\d:\d\d)(?:[.,]\d{1,9})?"
    r"|(?P<instant>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|z| UTC|[+-]\d\d(?::?\d\d)?)?)"
    r"|(?P<garbled>\d{4}-\d\d-\d\d[Tt]\S*))[ \t]+",
    re.ASCII,
)
# The program that wrote the line, with its process: `sshd[1]:`, `[sshd]:`, `/usr/sbin/sshd[1]:`, `sshd(pam_unix)[1]:`.
TAG = re.compile(
    r"(?:/\S*/)?\[?(?P<program>[A-Za-z][\w.@-]*)\]?(?:\([\w-]+\))?(?:\[(?P<process>\d+)\])?:(?:\s+|$)", re.ASCII
)
# Text beside the host that some dialects add and no login needs: a facility, ESXi's level, or the address of a relay.
PASSED_OVER = re.compile(
    rf"(?:{_FACILITY}|\[{_FACILITY}\]|<{_FACILITY}>|<\d{{1,2}}\.\d>|[A-Z][a-z]\(\d{{1,3}}\)|\([^)\s]*\))[ \t]+"
)
HOST = re.compile(r"(?P<host>[^\s(]+)(?:\([^)\s]*\))?[ \t]+")
# Solaris and syslog-ng repeat the facility at the start of the message.
MESSAGE_PREFIX = re.compile(rf"\[(?:ID \d+ )?{_FACILITY}\] ")


class Line(NamedTuple):
    """A syslog line in its parts.

    Attributes:
        stamp: When it was written, as the line has it.
        host: The machine that wrote it; None if the line names none.
        program: The program that wrote it; None if the line names none.
        message: What the program wrote; without a program, what follows the host.
        is_container: True for a line of a container's log that names no program: all of it is the message.
    """

    stamp: re.Match[str]
    host: str | None
    program: str | None
    message: str
    is_container: bool = False


def parse_line(text: str) -> Line | None:
    """Return the parts of a syslog line; None for a text that does not begin with a stamp."""
    container = CONTAINER.match(text) or DOCKER.match(text)
    if container is None:
        return _syslog_line(text)
    rest = text[container.end() :]
    line = _syslog_line(rest)
    if line is None:
        tag = TAG.match(rest)
        if tag is not None and tag["process"] is None and tag["program"] in MESSAGE_BEGINNINGS:
            return Line(container, None, None, rest, is_container=True)
        line = _header(container, rest)
    return line if line.program is not None else Line(container, None, None, rest, is_container=True)


def instant_in(stamp: re.Match[str], *, year: int | None, latest_at: int) -> int | None:
    """Return the instant of a stamp in microseconds since 1970; None if there is no such instant.

    A stamp without a time zone is UTC.

    Args:
        stamp: As `Line` has it.
        year: Of a stamp that has none; None takes the year that puts it closest before `latest_at`.
        latest_at: The latest plausible instant, in microseconds since 1970.
    """
    parts = stamp.groupdict()
    if parts.get("instant"):
        return _rfc_3339(parts["instant"])
    if parts.get("garbled"):
        return None
    year = int(parts["year"]) if parts["year"] else year
    if year is not None:
        return _in_year(parts, year)
    latest = year_of(latest_at)
    years = range(latest, latest - LONGEST_WAIT_YEARS - 1, -1)
    instants = (_in_year(parts, each) for each in years)
    return next((at for at in instants if at is not None and at <= latest_at), None)


def has_year(stamp: re.Match[str]) -> bool:
    """Return True for a stamp that names its year."""
    parts = stamp.groupdict()
    return bool(parts.get("instant") or parts.get("garbled") or parts.get("year"))


def _syslog_line(text: str) -> Line | None:
    """Return the parts of a line without the prefix of a container's log."""
    priority = PRIORITY.match(text)
    if priority is not None:
        text = text[priority.end() :].lstrip(" ")
        structured = VERSION_1.fullmatch(text)
        if structured is not None:
            host, program, message = (structured[name] for name in ("host", "program", "message"))
            return Line(structured, _present(host), _program_name(_present(program)), message or "")
    stamp = STAMP.match(text)
    return None if stamp is None else _header(stamp, text[stamp.end() :])


def _header(stamp: re.Match[str], rest: str) -> Line:
    """Return the parts of a line whose stamp has been read."""
    host: str | None = None
    text = rest
    for _ in range(MOST_WORDS):
        tag = TAG.match(text)
        if tag is not None:
            message = text[tag.end() :]
            prefix = MESSAGE_PREFIX.match(message)
            return Line(stamp, host, tag["program"], message[prefix.end() :] if prefix else message)
        passed_over = PASSED_OVER.match(text)
        if passed_over is not None:
            text = text[passed_over.end() :]
            continue
        word = HOST.match(text)
        if host is not None or word is None:
            break
        host, text = word["host"], text[word.end() :]
    return Line(stamp, host, None, text if host is not None else rest)


def _rfc_3339(text: str) -> int | None:
    """Return the instant of a text that may have a blank for `T`, a comma, a short zone or no zone."""
    day, clock = text[:10], text[11:19]
    fraction, zone = re.fullmatch(r"([.,]\d+)?(.*)", text[19:]).groups()  # type: ignore[union-attr]  # always matches
    zone = zone.strip()
    if zone in ("", "UTC"):
        zone = "Z"
    elif len(zone) == 3:
        zone = f"{zone}:00"
    elif zone[0] in "+-" and ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    return instant_of(f"{day}T{clock}{(fraction or '').replace(',', '.')}{zone.upper()}")


def _in_year(parts: dict[str, str], year: int) -> int | None:
    hour, minute, second = (int(part) for part in parts["clock"].split(":"))
    try:
        month = MONTHS.index(parts["month"]) + 1
        at = datetime(year, month, int(parts["day"]), hour, minute, second, tzinfo=UTC)
    except ValueError:  # no such month, day or time of day
        return None
    return to_micros(at)


def _present(word: str) -> str | None:
    """Return a word of RFC 5424; None for `-`, which stands for an absent one."""
    return None if word == "-" else word


def _program_name(program: str | None) -> str | None:
    return None if program is None else program.rpartition("/")[2]
