"""What happened, and the two ways it is written down: a `login` JSON object or an sshd line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

SECOND = 1_000
DAY_SECONDS = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_PORT = 40_960
PORTS = 1_024
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Writing numbers is what an event costs most: those that come back are written once.
_CLOCK = tuple(b"%02d:%02d." % divmod(second, 60) for second in range(3600))
_MILLIS = tuple(b"%03dZ" % millis for millis in range(1_000))
_PORTS = tuple(b"%d," % (FIRST_PORT + number) for number in range(PORTS))


def _json_fields(part: msgspec.Struct) -> bytes:
    """The fields that are given, as JSON without braces."""
    given = {name: value for name, value in msgspec.structs.asdict(part).items() if value not in (None, b"")}
    return msgspec.json.encode(given)[1:-1]


class Act(msgspec.Struct, frozen=True, gc=False):
    """What was done, and how it went.

    Attributes:
        json: Its fields as JSON, with a closing comma.
    """

    action: str
    outcome: str | None = None
    failure_reason: str | None = None
    json: bytes = b""

    def __post_init__(self) -> None:
        """Writes its fields once for all events."""
        msgspec.structs.force_setattr(self, "json", _json_fields(self) + b",")


SUCCESS = Act("login", "success")
GUESS = Act("login", "failure", "invalid_credentials")
UNKNOWN_USER = Act("login", "failure", "unknown_user")
MFA_FAILED = Act("login", "failure", "mfa_failed")
PASSWORD_EXPIRED = Act("login", "failure", "password_expired")
LOGOUT = Act("logout")
LOCKOUT = Act("lockout", None, "account_locked")


class Client(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Who acts, from where, with what and on what; None is left out.

    Attributes:
        key: The Kafka key, made of `username`: a user's events stay in order.
        json: All other fields as JSON, with the closing brace.
    """

    username: str
    src_ip: str
    app: str
    host: str
    auth_method: str
    is_mfa: bool
    user_agent: str
    device_id: str | None = None
    key: bytes = b""
    json: bytes = b""

    def __post_init__(self) -> None:
        """Writes its fields once for all events."""
        msgspec.structs.force_setattr(self, "json", _json_fields(self) + b"}")
        msgspec.structs.force_setattr(self, "key", self.username.encode())


class Event(msgspec.Struct, frozen=True, gc=False):
    """One act of one client at one moment.

    Attributes:
        event_id: 32 hex digits, as they are written.
        at: Milliseconds since 1970, UTC.
        session_id: Session that it opens or closes, 16 hex digits.
        act: What was done.
        client: By whom.
    """

    event_id: bytes
    at: int
    session_id: bytes | None
    act: Act
    client: Client


def login_json(event: Event) -> bytes:
    """The event as the format `login` has it: one flat JSON object."""
    at = event.at
    seconds, millis = divmod(at, SECOND)
    session = (b'"session_id":"', event.session_id, b'",') if event.session_id else ()
    return b"".join(
        (
            b'{"event_id":"',
            event.event_id,
            b'","event_at":"',
            _hour(seconds // 3600),
            _CLOCK[seconds % 3600],
            _MILLIS[millis],
            b'","src_port":',
            _PORTS[at % PORTS],
            *session,
            event.act.json,
            event.client.json,
        )
    )


def sshd_line(event: Event) -> bytes:
    """The event as OpenSSH writes it to syslog: to the second, without a year."""
    at = instant_of(event.at)
    stamp = f"{MONTHS[at.month - 1]} {at.day:2d} {at:%H:%M:%S}"
    return f"{stamp} {event.client.host} sshd[{_process(event)}]: {_sshd_message(event)}".encode()


def millis_of(instant: datetime) -> int:
    """An instant as milliseconds since 1970."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def instant_of(at: int) -> datetime:
    """Milliseconds since 1970 as an instant, UTC."""
    return EPOCH + timedelta(milliseconds=at)


def _process(event: Event) -> int:
    """A process id that no other event of that second has: equal lines would be told apart only by a count."""
    return int(event.event_id[:5], 16)


def _sshd_message(event: Event) -> str:
    act, username = event.act, event.client.username
    source = f"from {event.client.src_ip} port {_port(event.at)}"
    if act.action == "logout":
        return f"pam_unix(sshd:session): session closed for user {username}"
    if act.action == "lockout":
        return f"error: maximum authentication attempts exceeded for {username} {source} ssh2 [preauth]"
    if act.outcome == "success":
        return f"Accepted password for {username} {source} ssh2"
    invalid = "invalid user " if act.failure_reason == "unknown_user" else ""
    return f"Failed password for {invalid}{username} {source} ssh2"


def _port(at: int) -> int:
    """As good as random: a source port of the range that systems take for outgoing connections."""
    return FIRST_PORT + at % PORTS


@lru_cache(maxsize=64)
def _hour(hour: int) -> bytes:
    """Day and hour of a stamp; events come by their instants, so that the last one is wanted again and again."""
    return f"{EPOCH + timedelta(hours=hour):%Y-%m-%dT%H:}".encode()
