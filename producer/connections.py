"""What earlier lines of an sshd connection reported, for the header `earlier`: so that one attempt is counted once.

sshd reports some attempts in two lines. A user whom the configuration denies is first reported as not allowed, then as
an invalid user with a failed password; after too many attempts sshd reports the lockout, then that it disconnects.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import NamedTuple

# Values of the header: `silver.formats.sshd` reads them.
LOCKOUT_REPORTED, DENIAL_COUNTED, USER_DENIED = b"lockout", b"denial", b"denied-user"
# Connections that are open at the same time, at most; the oldest is forgotten first.
REMEMBERED = 10_000

# The word before the tag (the host, in most spellings), the process of the connection, and the message.
_LINE = re.compile(rb"(?:(\S+) )?\S*sshd(?:-session|-auth)?\[(\d+)\]: (.*)", re.DOTALL)
_LOCKOUT = re.compile(rb"(?:error: )?maximum authentication attempts exceeded for ")
_DISCONNECT = re.compile(rb"Disconnecting authenticating user ")
_DENIAL = re.compile(rb"User (.*?)(?: from \S+)? not allowed because ", re.DOTALL)
_FAILURE = re.compile(rb"(message repeated \d+ times: \[ )?Failed (?!none )\S+ for invalid user (.*) from ", re.DOTALL)


class _Reported(NamedTuple):
    """The report of a connection so far, and the denied user that it is about."""

    what: bytes
    user: bytes = b""


class Connections:
    """A memory of what the lines of each connection in one file have reported."""

    def __init__(self) -> None:
        self._reported: OrderedDict[tuple[bytes, bytes], _Reported] = OrderedDict()

    def reported_before(self, line: bytes) -> bytes | None:
        """Return what an earlier line of the connection reported about this line's attempt; None if no line did."""
        found = _LINE.search(line)
        if found is None:
            return None
        connection, message = (found[1] or b"", found[2]), found[3]
        if _LOCKOUT.match(message):
            self._remember(connection, _Reported(LOCKOUT_REPORTED))
        elif denial := _DENIAL.match(message):
            self._remember(connection, _Reported(DENIAL_COUNTED, denial[1]))
        elif connection in self._reported:
            return self._of(connection, message)
        return None

    def _of(self, connection: tuple[bytes, bytes], message: bytes) -> bytes | None:
        reported = self._reported[connection]
        if reported.what == LOCKOUT_REPORTED:
            return LOCKOUT_REPORTED if _DISCONNECT.match(message) else None
        failure = _FAILURE.match(message)
        if failure is None or failure[2] != reported.user:
            return None
        self._remember(connection, _Reported(USER_DENIED, reported.user))
        # Only one of several repeats was counted with the denial: all of them are counted instead.
        return USER_DENIED if failure[1] else reported.what

    def _remember(self, connection: tuple[bytes, bytes], reported: _Reported) -> None:
        self._reported[connection] = reported
        self._reported.move_to_end(connection)
        if len(self._reported) > REMEMBERED:
            self._reported.popitem(last=False)
