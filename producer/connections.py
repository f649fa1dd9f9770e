"""What earlier lines of an sshd connection reported, for the header `earlier`: so that one attempt is counted once.

sshd reports some attempts in two lines. A user whom the configuration denies is first reported as not allowed, then as
an invalid user with a failed password; after too many attempts sshd reports the lockout, then that it disconnects. An
error of PAM and a refused login of root are reported before the failure.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import NamedTuple

# Values of the header: `silver.formats.sshd` reads them.
LOCKOUT_REPORTED, DENIAL_COUNTED, USER_DENIED, ATTEMPT_COUNTED = b"lockout", b"denial", b"denied-user", b"attempt"
# Connections that are open at the same time, at most; the oldest is forgotten first.
REMEMBERED = 10_000

_PROGRAM = rb"sshd(?:-session|-auth)?"
# The process of the connection and the message, after a tag such as `sshd[1]: `.
_TAG = re.compile(rb"\b" + _PROGRAM + rb"\]?(?:\([\w-]+\))?\[(\d+)\]:[ \t]+(?:\[[^\]]*\] )?")
# Host, process and message of RFC 5424.
_VERSION_1 = re.compile(
    rb"<\d{1,3}>1 \S+ (\S+) (?:\S*/)?"
    + _PROGRAM
    + rb" (\d+) \S+ (?:-|(?:\[(?:[^\]\\]|\\.)*\])+) (?:\xef\xbb\xbf)?(.*)",
    re.DOTALL,
)
_LOCKOUT = re.compile(rb"(?:error: )?maximum authentication attempts exceeded for ")
_DISCONNECT = re.compile(rb"Disconnecting authenticating user ")
_DENIAL = re.compile(rb"User (.*?)(?: from (\S+))? not allowed because |Account (.*) has expired", re.DOTALL)
_ADDRESS = re.compile(rb"[\d.]+|[\da-fA-F:.]*:[\da-fA-F:.]*(?:%\S+)?")
_FAILURE = re.compile(
    rb"(message repeated \d+ times: \[ ?)?Failed (?!none )\S+ for invalid user (.*) from (\S+)", re.DOTALL
)
# Both are followed by the failure of the same attempt: of any method, and of the one that asks PAM.
_ROOT_REFUSED = re.compile(rb"ROOT LOGIN REFUSED FROM ")
_PAM_ERROR = re.compile(
    rb"(?:error: )?PAM: (?>Have exhausted[\w ]*service for |[A-Za-z][^:]*? for )(.*) from \S+", re.DOTALL
)
_FAILURE_OF_ROOT = re.compile(rb"Failed \S+ for (root) from ")
_FAILURE_BY_PAM = re.compile(rb"Failed keyboard-interactive(?:/pam)? for (.*) from \S+ port ", re.DOTALL)


class _Reported(NamedTuple):
    """The report of a connection so far, the user that it is about, and the source if it names an address."""

    what: bytes
    user: bytes = b""
    source: bytes = b""
    failure: re.Pattern[bytes] = _FAILURE


class Connections:
    """A memory of what the lines of each connection in one file have reported."""

    def __init__(self) -> None:
        self._reported: OrderedDict[tuple[bytes, bytes], _Reported] = OrderedDict()

    def reported_before(self, line: bytes) -> bytes | None:
        """Return what an earlier line of the connection reported about this line's attempt; None if no line did."""
        parts = _parts_of(line)
        if parts is None:
            return None
        connection, message = parts[:2], parts[2]
        if _LOCKOUT.match(message):
            self._remember(connection, _Reported(LOCKOUT_REPORTED))
        elif denial := _DENIAL.match(message):
            self._remember(connection, _denial_of(denial))
        elif _ROOT_REFUSED.match(message):
            self._remember(connection, _Reported(ATTEMPT_COUNTED, b"root", failure=_FAILURE_OF_ROOT))
        elif error := _PAM_ERROR.match(message):
            user = error[1].replace(b"illegal user ", b"invalid user ", 1)
            self._remember(connection, _Reported(ATTEMPT_COUNTED, user, failure=_FAILURE_BY_PAM))
        elif connection in self._reported:
            return self._of(connection, message)
        return None

    def _of(self, connection: tuple[bytes, bytes], message: bytes) -> bytes | None:
        reported = self._reported[connection]
        if reported.what == LOCKOUT_REPORTED:
            return LOCKOUT_REPORTED if _DISCONNECT.match(message) else None
        failure = reported.failure.match(message)
        if reported.what == ATTEMPT_COUNTED:
            if failure is None or failure[1] != reported.user:
                return None
            del self._reported[connection]  # the next failure is another attempt
            return ATTEMPT_COUNTED
        if failure is None or failure[2] != reported.user or failure[3] != (reported.source or failure[3]):
            return None
        self._remember(connection, reported._replace(what=USER_DENIED))
        # Only one of several repeats was counted with the denial: all of them are counted instead.
        return USER_DENIED if failure[1] else reported.what

    def _remember(self, connection: tuple[bytes, bytes], reported: _Reported) -> None:
        self._reported[connection] = reported
        self._reported.move_to_end(connection)
        if len(self._reported) > REMEMBERED:
            self._reported.popitem(last=False)


def _parts_of(line: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return the word before the tag (the host, in most spellings), the process, and the message of a line of sshd."""
    if structured := _VERSION_1.match(line):
        return structured[1], structured[2], structured[3]
    tag = _TAG.search(line)
    if tag is None:
        return None
    before_tag, _, _ = line[: tag.start()].rpartition(b" ")
    return before_tag.rpartition(b" ")[2], tag[1], line[tag.end() :]


def _denial_of(denial: re.Match[bytes]) -> _Reported:
    """Return the report of a denied user.

    The failure that follows has the address of the client. It is not counted again if the denial has the address, too.
    """
    user = denial[1] if denial[1] is not None else denial[3]
    has_address = denial[2] is not None and _ADDRESS.fullmatch(denial[2])
    return _Reported(DENIAL_COUNTED, user, denial[2]) if has_address else _Reported(USER_DENIED, user)
