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
    rb"|\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:[.,]\d{1,8})?(?:Z|z| UTC|[+-]\d\d(?::?\d\d)?)?)[ \t]+"
)
# Up to three words, such as the host, the process and the message. The prefix of a container's log stands before the
# stamp; a tag within the message is text that the client may have chosen.
_LINE = re.compile(
    rb"(?:<\d{1,3}> ?)?(?:\d{4}-\d\d-\d\dT\S+ (?:(?:stdout|stderr) [FP] )?)?"
    + _STAMP
    + rb"((?:(?!(?:stdout|stderr) |\S*:[ \t])\S+[ \t]+){0,3})(?:/\S*/)?"
    + _PROGRAM
    + rb"(?:\([\w-]+\))?\[(\d+)\]:[ \t]+(?:\[[^\]]*\] )?(.*)",
    re.DOTALL,
)
# The same parts of RFC 5424.
_VERSION_1 = re.compile(
    rb"<\d{1,3}>1 \S+ (\S+) (?:\S*/)?"
    + _PROGRAM
    + rb" (\d+) \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) (?:\xef\xbb\xbf)?(.*)",
    re.DOTALL,
)
_LOCKOUT = re.compile(rb"(?:error: )?maximum authentication attempts exceeded for ")
_DISCONNECT = re.compile(rb"Disconnecting authenticating user ")
_DENIAL = re.compile(rb"User (.*?)(?: from (\S+))? not allowed because |Account (.*) has expired", re.DOTALL)
_FAILURE = re.compile(
    rb"(message repeated \d+ times: \[ ?)?Failed (?!none )\S+ for invalid user (.*) from (\S+)", re.DOTALL
)
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
        if _LOCKOUT.match(message):
            _remember(self._reported, connection, report=_Reported(LOCKOUT_REPORTED))
        elif denial := _DENIAL.match(message):
            user = denial[1] if denial[1] is not None else denial[3]
            _remember(
                self._reported, connection, report=_Reported(DENIAL_COUNTED, user, _address_or_nothing(denial[2]))
            )
        elif connection in self._reported:
            return self._of(connection, message)
        elif (error := _PAM_ERROR.match(message)) and _address_or_nothing(error[2]):
            user = error[1].replace(b"illegal user ", b"invalid user ", 1)
            _remember(self._refused_by_pam, connection, report=(user, error[2]))
        elif refused and (failure := _FAILURE_BY_PAM.match(message)) and failure.groups() == refused:
            return ATTEMPT_COUNTED
        return None

    def _of(self, connection: Connection, message: bytes) -> bytes | None:
        reported = self._reported[connection]
        if reported.what == LOCKOUT_REPORTED:
            return LOCKOUT_REPORTED if _DISCONNECT.match(message) else None
        failure = _FAILURE.match(message)
        if failure is None or failure[2] != reported.user:
            return None
        address = _address_or_nothing(failure[3])
        if reported.source and address != reported.source:  # another connection, whose process has the same number
            return None
        _remember(self._reported, connection, report=reported._replace(what=USER_DENIED, source=address))
        # All of several repeats are counted, since only one was with the denial, and a failure that names the address
        # is counted, if the denial does not.
        return USER_DENIED if failure[1] or address != reported.source else reported.what


def _remember(memory: OrderedDict[Connection, Any], connection: Connection, *, report: object) -> None:
    memory[connection] = report
    memory.move_to_end(connection)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _parts_of(line: bytes) -> tuple[Connection, bytes] | None:
    """Return the connection (host and process) and the message of a line of sshd; None if it names no process."""
    found = _VERSION_1.match(line) or _LINE.match(line)
    if found is None:
        return None
    words = found[1].split()
    return (words[-1] if words else b"", found[2]), found[3]


def _address_or_nothing(source: bytes | None) -> bytes:
    """Return a source if it is an address, and nothing for a host name or `UNKNOWN`."""
    return source if source and _ADDRESS.fullmatch(source) else b""
