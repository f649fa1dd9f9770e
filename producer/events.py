"""What happened, and the two ways it is written down: a `login` JSON object or an sshd line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache

import msgspec

MICROSECONDS = 1_000_000
DAY_SECONDS = 86_400
MINUTE_MICROS = 60 * MICROSECONDS
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, eq=False)
class Act:
    """What stays the same each time a user does the same thing from the same place; None is left out."""

    action: str
    outcome: str | None
    failure_reason: str | None
    username: str
    src_ip: str
    app: str
    host: str
    auth_method: str | None = None
    is_mfa: bool | None = None
    user_agent: str | None = None
    device_id: str | None = None

    @cached_property
    def key(self) -> bytes:
        """The Kafka key: a user's events stay in order."""
        return self.username.encode()

    @cached_property
    def json_tail(self) -> str:
        """Its JSON fields up to the closing brace: encoded once, sent often."""
        given = {name: value for name, value in vars(self).items() if value is not None and name != "key"}
        return msgspec.json.encode(given).decode()[1:]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One act at one moment.

    Attributes:
        event_id: 32 hex digits.
        at: Microseconds since 1970, UTC.
        src_port: Source port.
        session_id: Session that it opens or closes.
        act: All else.
    """

    event_id: str
    at: int
    src_port: int
    session_id: str | None
    act: Act


def login_json(event: Event) -> bytes:
    """The event as the format `login` has it: one flat JSON object."""
    minute, micros = divmod(event.at, MINUTE_MICROS)
    session = f'"session_id":"{event.session_id}",' if event.session_id else ""
    return (
        f'{{"event_id":"{event.event_id}","event_at":"{_minute(minute)}{micros / MICROSECONDS:09.6f}Z",'
        f'"src_port":{event.src_port},{session}{event.act.json_tail}'
    ).encode()


def sshd_line(event: Event) -> bytes:
    """The event as OpenSSH writes it to syslog: to the second, without a year."""
    at = instant_of(event.at)
    stamp = f"{MONTHS[at.month - 1]} {at.day:2d} {at:%H:%M:%S}"
    return f"{stamp} {event.act.host} sshd[{_process(event)}]: {_sshd_message(event)}".encode()


def instant_of(micros: int) -> datetime:
    """Microseconds since 1970 as an instant, UTC."""
    return EPOCH + timedelta(microseconds=micros)


def _process(event: Event) -> int:
    """A process id that no other event of that second has: equal lines would be told apart only by a count."""
    return int(event.event_id[:5], 16)


def _sshd_message(event: Event) -> str:
    act, source = event.act, f"from {event.act.src_ip} port {event.src_port}"
    if act.action == "logout":
        return f"pam_unix(sshd:session): session closed for user {act.username}"
    if act.action == "lockout":
        return f"error: maximum authentication attempts exceeded for {act.username} {source} ssh2 [preauth]"
    if act.outcome == "success":
        return f"Accepted password for {act.username} {source} ssh2"
    invalid = "invalid user " if act.failure_reason == "unknown_user" else ""
    return f"Failed password for {invalid}{act.username} {source} ssh2"


# Every event has a stamp, and many have the same minute.
@lru_cache(maxsize=64)
def _minute(minute: int) -> str:
    return f"{EPOCH + timedelta(minutes=minute):%Y-%m-%dT%H:%M:}"
