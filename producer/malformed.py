"""Bad records as they occur in real logs: broken ones, and well-formed ones that are not login events."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from producer.events import Event, login_json, sshd_line

# Turns an event into the value of a bad record; None is a tombstone.
Corruption: TypeAlias = Callable[[Event], bytes | None]


def _without(name: str) -> Corruption:
    """Return a corruption that removes a required field."""
    return lambda event: _changed(event, lambda fields: fields.pop(name, None))


def _with(name: str, value: object) -> Corruption:
    """Return a corruption that sets a field to a value."""
    return lambda event: _changed(event, lambda fields: fields.update({name: value}))


def _changed(event: Event, change: Callable[[dict[str, Any]], object]) -> bytes:
    fields = msgspec.json.decode(login_json(event))
    change(fields)
    return msgspec.json.encode(fields)


def _not_a_number(event: Event) -> bytes:
    return re.sub(rb'"src_port":\d+', b'"src_port":NaN', login_json(event))


BROKEN_LOGINS: Mapping[str, Corruption] = {
    "tombstone": lambda _: None,
    "empty": lambda _: b"",
    "truncated": lambda event: login_json(event)[:-40],
    "not_json": lambda _: b"login succeeded, details to follow",
    "two_objects": lambda event: login_json(event) * 2,
    "in_an_array": lambda event: b"[" + login_json(event) + b"]",
    "invalid_utf8": lambda event: login_json(event).replace(b'"app":"', b'"app":"\xff'),
    "not_a_number": _not_a_number,
    "no_event_id": _without("event_id"),
    "no_event_at": _without("event_at"),
    "no_action": _without("action"),
    "number_as_event_id": _with("event_id", 17),
    "number_as_username": _with("username", 17),
    "text_as_port": _with("src_port", "twenty-two"),
    "text_as_is_mfa": _with("is_mfa", "yes"),
    "impossible_day": _with("event_at", "2026-02-30T10:00:00Z"),
    "far_future": _with("event_at", "9999-01-01T00:00:00Z"),
    "unknown_outcome": _with("outcome", "perhaps"),
}

# Well-formed JSON with an action that is not a login action: applications log these as well.
FOREIGN_LOGINS: Mapping[str, Corruption] = {
    action: _with("action", action) for action in ("password_change", "token_refresh", "profile_update")
}

BROKEN_LINES: Mapping[str, Corruption] = {
    "tombstone": lambda _: None,
    "empty": lambda _: b"",
    "truncated": lambda event: sshd_line(event)[:9],
    "no_stamp": lambda event: sshd_line(event)[16:],
    "invalid_utf8": lambda event: sshd_line(event).replace(b"]: ", b"]: \xff", 1),
}

FOREIGN_LINES: Mapping[str, Corruption] = {
    "cron": lambda event: re.sub(
        rb"sshd\[.*", b"CRON[4242]: (root) CMD (run-parts /etc/cron.hourly)", sshd_line(event)
    ),
    "listening": lambda event: re.sub(rb"\]: .*", b"]: Server listening on 0.0.0.0 port 22.", sshd_line(event)),
}
