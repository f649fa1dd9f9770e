"""What earlier lines of an sshd connection reported, for the header `earlier`: so that one attempt is counted once.

sshd reports some attempts in two lines. A user whom the configuration denies is first reported as not allowed, then as
an invalid user with a failed password; after too many attempts sshd reports the lockout, then that it disconnects; it
reports an error of PAM, then the failure.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, NamedTuple, TypeAlias

# Values of the header: `silver.formats.sshd` reads them.
LOCKOUT_REPORTED, DENIAL_COUNTED, USER_DENIED, ATTEMPT_COUNTED = b"lockout", b"denial", b"denied-user", b"attempt"
# Connections that are open at the same time, at most; the oldest is forgotten first.
REMEMBERED = 10_000

_PROGRAM = rb"sshd(?:-session|-auth)?"
_STAMP = (
    rb"(?:(?:[A-Z][a-z]{2},? )?[A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:[.,]\d+)?"
    rb"|\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d"
    rb"(?:(?:[.,]\d{1,8})?(?:Z|z| UTC|[+-]\d\d(?::?\d\d)?)?|\.\d{9}[+-]\d\d:?\d\d))[ \t]+"
)
# What a container's log has before a line.
_PREFIX = rb"\d{4}-\d\d-\d\dT\S+ (?:(?:stdout|stderr) [FP] )?"
_TAG = rb"(?:/\S*/)?" + _PROGRAM + rb"(?:\([\w-]+\))?\[(?P<process>\d+)\]:[ \t]+(?:\[[^\]]*\] )?(?P<message>.*)"
# No word of a message: a tag within it is text that the client may have chosen.
_WORD = rb"(?:(?!(?:stdout|stderr|User|Account) |\S*:[ \t])\S+[ \t]+)"
# Up to three words before the tag, such as the host; after the prefix of a container's log alone, the host at most.
_LINES = (
    re.compile(
        rb"(?:"
        + _PREFIX
        + rb")?<\d{1,3}> *1 \S+ (?P<words>\S+) (?:\S*/)?"
        + _PROGRAM
        + rb" (?P<process>\d+) \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) (?:\xef\xbb\xbf)?(?P<message>.*)",
        re.DOTALL,
    ),
    re.compile(
        rb"(?:" + _PREFIX + rb")?(?:<\d{1,3}> *)?" + _STAMP + rb"(?P<words>" + _WORD + rb"{0,3})" + _TAG, re.DOTALL
    ),
    re.compile(_PREFIX + rb"(?P<words>" + _WORD + rb"?)" + _TAG, re.DOTALL),
)
_LOCKOUT = re.compile(rb"(?:error: )?maximum authentication attempts exceeded for ")
_DISCONNECT = re.compile(rb"Disconnecting authenticating user ")
_DENIAL = re.compile(rb"User (.*?)(?: from (\S+))? not allowed because |Account (.*) has expired", re.DOTALL)
_FAILURE = re.compile(rb"(message repeated \d+ times: \[ ?)?Failed (?!none )\S+ for invalid user ")
_PAM_ERROR = re.compile(
    rb"(?:error: )?PAM: (?>Have exhausted[\w ]*service for |[A-Za-z][^:]*? for )(.*) from (\S+)", re.DOTALL
)
_FAILURE_BY_PAM = re.compile(rb"Failed keyboard-interactive(?:/pam)? for (.*) from (\S+) port ", re.DOTALL)
_ADDRESS = re.compile(rb"[\d.]+|[\da-fA-F:.]*:[\da-fA-F:.]*(?:%\S+)?")

Connection: TypeAlias = tuple[bytes, bytes]


class _Reported(NamedTuple):
    """The report of a connection so far, the denied user that it is about, and the source if it is an address."""

    what: bytes
    user: bytes = b""
    source: bytes = b""


class _Failure(NamedTuple):
    """The source of a failure of a denied user, and whether the line stands for several."""

    source: bytes
    is_repeated: bool = False


class Connections:
    """A memory of what the lines of each connection in one file have reported."""

    def __init__(self) -> None:
        self._reported: OrderedDict[Connection, _Reported] = OrderedDict()
        # User and address of an error of PAM, until the next line of the connection.
        self._refused_by_pam: OrderedDict[Connection, tuple[bytes, bytes]] = OrderedDict()

    def reported_before(self, line: bytes) -> bytes | None:
        """Return what an earlier line of the connection reported about this line's attempt; None if no line did."""
        parts = _parts_of(line)
        if parts is None:
            return None
        connection, message = parts
        refused = self._refused_by_pam.pop(connection, None)
        failure = _FAILURE_BY_PAM.match(message) if refused else None
        if failure and failure.groups() == refused:
            return ATTEMPT_COUNTED
        if (error := _PAM_ERROR.match(message)) and _address_or_nothing(error[2]):
            user = error[1].replace(b"illegal user ", b"invalid user ", 1)
            _remember(self._refused_by_pam, connection, report=(user, error[2]))
        if _LOCKOUT.match(message):
            _remember(self._reported, connection, report=_Reported(LOCKOUT_REPORTED))
        elif denial := _DENIAL.match(message):
            user = denial[1] if denial[1] is not None else denial[3]
            reported = _Reported(DENIAL_COUNTED, user, _address_or_nothing(denial[2]))
            _remember(self._reported, connection, report=reported)
        elif connection in self._reported:
            return self._of(connection, message)
        return None

    def _of(self, connection: Connection, message: bytes) -> bytes | None:
        reported = self._reported[connection]
        if reported.what == LOCKOUT_REPORTED:
            return LOCKOUT_REPORTED if _DISCONNECT.match(message) else None
        failure = _failure_of(reported.user, message)
        if failure is None:
            return None
        address = _address_or_nothing(failure.source)
        if reported.source and address != reported.source:  # another connection, whose process has the same number
            return None
        _remember(self._reported, connection, report=reported._replace(what=USER_DENIED, source=address))
        # All of several repeats are counted, since only one was with the denial, and a failure that names the address
        # is counted, if the denial does not.
        return USER_DENIED if failure.is_repeated or address != reported.source else reported.what


def _failure_of(user: bytes, message: bytes) -> _Failure | None:
    """Return the failure of a user whom sshd calls invalid; None for any other message."""
    if error := _PAM_ERROR.match(message):
        return _Failure(error[2]) if error[1] == b"illegal user " + user else None
    found = _FAILURE.match(message)
    named = user + b" from "
    if found is None or not message.startswith(named, found.end()):
        return None
    source = message[found.end() + len(named) :].split(maxsplit=1)
    return _Failure(source[0], is_repeated=found[1] is not None) if source else None


def _remember(memory: OrderedDict[Connection, Any], connection: Connection, *, report: object) -> None:
    memory[connection] = report
    memory.move_to_end(connection)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _parts_of(line: bytes) -> tuple[Connection, bytes] | None:
    """Return the connection (host and process) and the message of a line of sshd; None if it names no process."""
    found = next(filter(None, (spelling.match(line) for spelling in _LINES)), None)
    if found is None:
        return None
    words = found["words"].split()
    return (words[-1] if words else b"", found["process"]), found["message"]


def _address_or_nothing(source: bytes | None) -> bytes:
    """Return a source if it is an address, and nothing for a host name or `UNKNOWN`."""
    return source if source and _ADDRESS.fullmatch(source) else b""
