"""Events, and the two formats they are written in: a `login` JSON object or an sshd line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

SECOND = 1_000
DAY_SECONDS = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_PORT = 40_960
PORTS = 1_024
PUBLIC_KEY = "publickey"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Formatting numbers is the most expensive part of an event, so repeated numbers are formatted once.
_CLOCK = tuple(b"%02d:%02d." % divmod(second, 60) for second in range(3600))
_MILLIS = tuple(b"%03dZ" % millis for millis in range(1_000))
_PORTS = tuple(b"%d," % (FIRST_PORT + number) for number in range(PORTS))


# Fields of a struct that are computed from the others.
_COMPUTED = ("json", "key")


def _json_fields(part: msgspec.Struct) -> bytes:
    """Return the fields that have a value as JSON without braces."""
    fields = msgspec.structs.asdict(part)
    given = {name: value for name, value in fields.items() if value is not None and name not in _COMPUTED}
    return msgspec.json.encode(given)[1:-1]


class EventKind(msgspec.Struct, frozen=True, gc=False):
    """An action and its result.

    Attributes:
        json: The other fields as JSON, with a trailing comma.
    """

    action: str
    outcome: str | None = None
    failure_reason: str | None = None
    json: bytes = b""

    def __post_init__(self) -> None:
        """Encode the fields once for all events."""
        msgspec.structs.force_setattr(self, "json", _json_fields(self) + b",")


LOGIN_SUCCEEDED = EventKind("login", "success")
WRONG_PASSWORD = EventKind("login", "failure", "invalid_credentials")
UNKNOWN_USER = EventKind("login", "failure", "unknown_user")
MFA_FAILED = EventKind("login", "failure", "mfa_failed")
PASSWORD_EXPIRED = EventKind("login", "failure", "password_expired")
LOGOUT = EventKind("logout")
ACCOUNT_LOCKED = EventKind("lockout", None, "account_locked")


class Client(msgspec.Struct, frozen=True, gc=False, eq=False):
    """Who acts, from where, with which device, on which application; fields that are None are not written.

    Attributes:
        key: The Kafka key, `username` as bytes: a user's events keep their order.
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
        """Encode the fields once for all events."""
        msgspec.structs.force_setattr(self, "json", _json_fields(self) + b"}")
        msgspec.structs.force_setattr(self, "key", self.username.encode())


class Event(msgspec.Struct, frozen=True, gc=False):
    """One action of one client at one instant.

    Attributes:
        event_id: 32 hexadecimal digits, as ASCII.
        at: Milliseconds since 1970, UTC.
        session_id: The session that the event opens or closes, 16 hexadecimal digits; None for other events.
        kind: The action and its result.
        client: Who acted.
    """

    event_id: bytes
    at: int
    session_id: bytes | None
    kind: EventKind
    client: Client


def login_json(event: Event) -> bytes:
    """Return the event in format `login`: one flat JSON object."""
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
            event.kind.json,
            event.client.json,
        )
    )


def sshd_line(event: Event) -> bytes:
    """Return the event as a syslog line of OpenSSH, which has whole seconds and no year."""
    at = instant_of(event.at)
    stamp = f"{MONTHS[at.month - 1]} {at.day:2d} {at:%H:%M:%S}"
    return f"{stamp} {event.client.host} sshd[{_process(event)}]: {_sshd_message(event)}".encode()


def millis_of(instant: datetime) -> int:
    """Return an instant as milliseconds since 1970."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def instant_of(at: int) -> datetime:
    """Return milliseconds since 1970 as an instant in UTC."""
    return EPOCH + timedelta(milliseconds=at)


def _process(event: Event) -> int:
    """Return a process id that makes the line unique: equal lines differ only by their occurrence header."""
    return int(event.event_id[:5], 16)


def _sshd_message(event: Event) -> str:
    kind, username = event.kind, event.client.username
    source = f"from {event.client.src_ip} port {_port(event.at)}"
    if kind.action == "logout":
        return f"pam_unix(sshd:session): session closed for user {username}"
    if kind.action == "lockout":
        return f"error: maximum authentication attempts exceeded for {username} {source} ssh2 [preauth]"
    if kind.outcome == "success":
        return f"Accepted {_sshd_method(event)} for {username} {source} ssh2"
    invalid = "invalid user " if kind.failure_reason == "unknown_user" else ""
    return f"Failed {_sshd_method(event)} for {invalid}{username} {source} ssh2"


def _sshd_method(event: Event) -> str:
    return PUBLIC_KEY if event.client.auth_method == PUBLIC_KEY else "password"


def _port(at: int) -> int:
    """Return a source port in the range for outgoing connections; it varies with the instant."""
    return FIRST_PORT + at % PORTS


@lru_cache(maxsize=64)
def _hour(hour: int) -> bytes:
    """Return the day and hour of a timestamp; events are ordered by instant, so the cache has the last one."""
    return f"{EPOCH + timedelta(hours=hour):%Y-%m-%dT%H:}".encode()
