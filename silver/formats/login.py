"""The format `login`: one flat JSON object per event.

Almost all records are parsed in one step by msgspec. A record with unknown or invalid fields is parsed again field by
field, to keep the unknown fields unchanged and to name the invalid one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from lakehouse.tables.silver import ACTIONS, Action, FailureReason, Outcome
from silver.formats.instants import to_micros
from silver.formats.nesting import is_nested_deeper
from silver.formats.reasons import Reason
from silver.formats.record import Decoded, Format, Record, refused
from silver.formats.sources import given_source

MAX_LEVELS = 64
MAX_TIMES = 999_999_999


class Login(msgspec.Struct, kw_only=True):
    """A login event as applications send it. Unknown fields are kept; an empty text counts as absent."""

    event_id: Annotated[str, Meta(min_length=1, max_length=512, description="Identity of the event, given once.")]
    event_at: Annotated[datetime, Meta(tz=True, description="When it happened, RFC 3339 with a time zone.")]
    action: Annotated[Action, Meta(description="What happened; other actions are well-formed but ignored.")]
    outcome: Annotated[Outcome | None, Meta(description="Required for a login; without meaning otherwise.")] = None
    failure_reason: Annotated[FailureReason | None, Meta(description="Why; without meaning for a success.")] = None
    times: Annotated[int, Meta(ge=1, le=MAX_TIMES)] | None = None
    username: Annotated[str | None, Meta(description="User name, kept as given.")] = None
    src_ip: Annotated[
        str | None, Meta(description="Source address, with a port or without; a host name counts as src_host.")
    ] = None
    src_host: Annotated[str | None, Meta(description="Source, if it is a host name.")] = None
    src_port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    app: Annotated[str | None, Meta(description="What was logged in to.")] = None
    host: Annotated[str | None, Meta(description="Machine that wrote the record.")] = None
    auth_method: Annotated[str | None, Meta(description="How the user proved who they are.")] = None
    is_mfa: Annotated[bool | None, Meta(description="Whether a second factor was used.")] = None
    session_id: Annotated[str | None, Meta(description="Session that the event belongs to.")] = None
    user_agent: Annotated[str | None, Meta(description="Client software as it names itself.")] = None
    device_id: Annotated[str | None, Meta(description="Device as the source names it.")] = None


class _OnlyKnown(Login, forbid_unknown_fields=True):
    """A login event without unknown fields."""


_only_known = msgspec.json.Decoder(_OnlyKnown)
_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_known_fields = {field.name: msgspec.json.Decoder(field.type) for field in msgspec.structs.fields(Login)}
_required = tuple(field.name for field in msgspec.structs.fields(Login) if field.required)
_kinds = {"src_port": "number", "times": "number", "is_mfa": "boolean"}
_kind_of_first_byte = {b'"': "text", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean", b"n": "null"}


def decode(record: Record) -> Decoded:
    """Return the event of a record, or the reason why the record has none."""
    try:
        login = _only_known.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decoded_by_field(record.value)
    return _accepted(login, unknown={})


def _accepted(login: Login, *, unknown: Mapping[str, Any]) -> Decoded:
    is_login = login.action == "login"
    if is_login and login.outcome is None:
        return refused(Reason.MISSING_FIELD, "outcome is required for a login")
    given = given_source(login.src_ip)
    if given is None:
        return refused(Reason.BAD_ADDRESS, f"src_ip is {login.src_ip!r}")
    extra = {**unknown, "src_ip": login.src_ip} if given.is_placeholder else unknown
    return Decoded(
        event_id=login.event_id,
        event_at=to_micros(login.event_at),
        action=login.action,
        outcome=login.outcome if is_login else None,
        failure_reason=login.failure_reason if login.outcome != "success" else None,
        times=login.times or 1,
        username=login.username or None,
        src_ip=given.source.ip,
        src_host=login.src_host or given.source.host,
        src_port=given.port if login.src_port is None else login.src_port,
        app=login.app or None,
        host=login.host or None,
        auth_method=login.auth_method or None,
        is_mfa=login.is_mfa,
        session_id=login.session_id or None,
        user_agent=login.user_agent or None,
        device_id=login.device_id or None,
        extra=msgspec.json.encode(extra).decode() if extra else None,
    )


def _decoded_by_field(value: bytes) -> Decoded:
    raw_fields = _split(value)
    if isinstance(raw_fields, Decoded):
        return raw_fields
    if _is_other_action(raw_fields.get("action")):
        return refused(Reason.NOT_A_LOGIN, f"action is {_text.decode(raw_fields['action'])!r}")
    known = {name: raw_fields.pop(name) for name in _known_fields if name in raw_fields}
    return _of_fields(known, unknown=raw_fields)


def _split(value: bytes) -> dict[str, msgspec.Raw] | Decoded:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return refused(Reason.NOT_UTF8, f"Byte {error.start}: {error.reason}")
    if not text.strip():
        return refused(Reason.EMPTY_RECORD, "The value is white space")
    if is_nested_deeper(value, MAX_LEVELS):
        return refused(Reason.TOO_DEEP, f"More than {MAX_LEVELS} levels")
    try:
        return _raw_fields.decode(value)
    except msgspec.ValidationError as error:
        return refused(Reason.NOT_AN_OBJECT, str(error))
    except msgspec.DecodeError as error:
        return refused(Reason.NOT_JSON, str(error))


def _of_fields(raw: Mapping[str, msgspec.Raw], *, unknown: Mapping[str, msgspec.Raw]) -> Decoded:
    absent = next((name for name in _required if _is_null(raw.get(name))), None)
    if absent is not None:
        return refused(Reason.MISSING_FIELD, f"{absent} is absent or null")
    fields: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            fields[name] = _known_fields[name].decode(value)
        except msgspec.DecodeError as error:
            return refused(_fault(name, value), f"{name}: {error}")
    return _accepted(Login(**fields), unknown=unknown)


def _fault(name: str, value: msgspec.Raw) -> Reason:
    kind = _kind_of_first_byte.get(bytes(value)[:1], "number")
    if kind != _kinds.get(name, "text"):
        return Reason.WRONG_TYPE
    return Reason.BAD_TIME if name == "event_at" else Reason.BAD_VALUE


def _is_null(value: msgspec.Raw | None) -> bool:
    return value is None or bytes(value) == b"null"


def _is_other_action(value: msgspec.Raw | None) -> bool:
    """Return True for a text that is not one of our actions."""
    return value is not None and bytes(value)[:1] == b'"' and _text.decode(value) not in ACTIONS


LOGIN = Format(name="login", version=2, decode=decode)
