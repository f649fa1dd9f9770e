"""Every fault of a Kafka record that the guarantees name, with its verdict; and arbitrary other records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.tables.silver import EVENTS, VERDICTS
from silver.decode import decode
from silver.formats.reasons import Reason
from tests.silver.records import (
    RULES,
    SSHD_HEADERS,
    Row,
    a_line,
    a_login,
    a_login_with,
    a_record,
    batch_of,
    decoded,
    headers_column,
    login_row,
    part_of,
    sshd_row,
)

MIB = 1 << 20
VERDICT_OF = {reason.value: reason.verdict for reason in Reason}
LINE = a_line("Failed password for root from 192.0.2.1 port 22 ssh2")
ACCEPTED = ("accepted", None)
NOT_JSON = ("broken", "not_json")
NOT_AN_OBJECT = ("broken", "not_an_object")
MISSING = ("broken", "missing_field")
WRONG_TYPE = ("broken", "wrong_type")
BAD_VALUE = ("broken", "bad_value")
BAD_TIME = ("broken", "bad_time")
BAD_ADDRESS = ("broken", "bad_address")
UNREADABLE = ("broken", "unreadable_outcome")
IMPLAUSIBLE = ("broken", "implausible_time")


def nested(levels: int) -> bytes:
    """A login whose object is nested in so many levels, its own included."""
    return a_login_with(f'"x": {"[" * (levels - 1)}{"]" * (levels - 1)}')


def without(name: str) -> bytes:
    fields = json.loads(a_login())
    del fields[name]
    return json.dumps(fields).encode()


LOGINS = {
    "null value": (None, ("broken", "empty_record")),
    "empty": (b"", ("broken", "empty_record")),
    "white space": (b" \r\n", ("broken", "empty_record")),
    "BOM": (b"\xef\xbb\xbf" + a_login(), NOT_JSON),
    "UTF-16": (a_login().decode().encode("utf-16"), ("broken", "not_utf8")),
    "UTF-16 without BOM": (a_login().decode().encode("utf-16-le"), NOT_JSON),
    "invalid UTF-8": (a_login().replace(b"e1", b"\xff"), ("broken", "not_utf8")),
    "lone surrogate, escaped": (a_login(username="\ud800"), NOT_JSON),
    "lone surrogate in an unknown field": (a_login(x="\ud800"), NOT_JSON),
    "lone surrogate as the action": (a_login(action="\ud800"), NOT_JSON),
    "lone surrogate, as bytes": (a_login().replace(b"e1", b"\xed\xa0\x80"), ("broken", "not_utf8")),
    "NUL": (b"\0", NOT_JSON),
    "NUL in a text": (a_login().replace(b"e1", b"\0"), NOT_JSON),
    "NUL, escaped": (a_login(username="a\0b"), ACCEPTED),
    "1 MiB": (a_login(username="a" * MIB), ACCEPTED),
    "1 MiB of an unknown field": (a_login(x="a" * MIB), ACCEPTED),
    "1 MiB of quotes": (a_login_with('"' * MIB), NOT_JSON),
    "1 MiB of escapes": (a_login_with('"x": "' + "\\\\" * (MIB // 2)), NOT_JSON),
    "64 levels": (nested(64), ACCEPTED),
    "65 levels": (nested(65), ("broken", "too_deep")),
    "100,000 levels": (nested(100_000), ("broken", "too_deep")),
    "100,000 levels, never closed": (b"[" * 100_000, ("broken", "too_deep")),
    "brackets in a text": (a_login(x="[" * 100 + '"{'), ACCEPTED),
    "duplicate keys": (a_login_with('"outcome": "failure"'), ACCEPTED),
    "duplicate keys, the first broken": (a_login(src_port="x")[:-1] + b', "src_port": 22}', ACCEPTED),
    "trailing garbage": (a_login() + b" x", NOT_JSON),
    "trailing white space": (a_login() + b" \n", ACCEPTED),
    "two objects": (a_login() * 2, NOT_JSON),
    "truncated": (a_login()[:-5], NOT_JSON),
    "array at top": (b"[" + a_login() + b"]", NOT_AN_OBJECT),
    "number at top": (b"17", NOT_AN_OBJECT),
    "text at top": (b'"login"', NOT_AN_OBJECT),
    "null at top": (b"null", NOT_AN_OBJECT),
    "empty object": (b"{}", MISSING),
    "NaN": (a_login_with('"src_port": NaN'), NOT_JSON),
    "Infinity": (a_login_with('"x": -Infinity'), NOT_JSON),
    "1e400 in a known field": (a_login_with('"src_port": 1e400'), BAD_VALUE),
    "1e400 in an unknown field": (a_login_with('"x": 1e400'), ACCEPTED),
    "number with a leading zero": (a_login_with('"x": 01'), NOT_JSON),
    "2^63": (a_login(src_port=2**63), BAD_VALUE),
    "2^63 times": (a_login(times=2**63), BAD_VALUE),
    "a number of a million digits": (a_login_with(f'"src_port": {"9" * 1_000_000}'), BAD_VALUE),
    "2^63 in an unknown field": (a_login(x=2**63), ACCEPTED),
    "zero times": (a_login(times=0), BAD_VALUE),
    "port 65536": (a_login(src_port=65_536), BAD_VALUE),
    "port -1": (a_login(src_port=-1), BAD_VALUE),
    "a broken port number": (a_login(src_port=22.5), BAD_VALUE),
    "bool for string": (a_login(username=True), WRONG_TYPE),
    "string for int": (a_login(src_port="22"), WRONG_TYPE),
    "string for bool": (a_login(is_mfa="yes"), WRONG_TYPE),
    "object for string": (a_login(username={}), WRONG_TYPE),
    "number for the action": (a_login(action=1), WRONG_TYPE),
    "missing event_id": (without("event_id"), MISSING),
    "missing event_at": (without("event_at"), MISSING),
    "missing action": (without("action"), MISSING),
    "missing outcome of a login": (without("outcome"), MISSING),
    "null event_id": (a_login(event_id=None), MISSING),
    "null event_at": (a_login(event_at=None), MISSING),
    "null action": (a_login(action=None), MISSING),
    "null outcome of a login": (a_login(outcome=None), MISSING),
    "no outcome of a logout": (a_login(action="logout", outcome=None), ACCEPTED),
    "null optional field": (a_login(username=None), ACCEPTED),
    "unknown fields": (a_login(x=1, y=None), ACCEPTED),
    "unknown action": (a_login(action="password_change"), ("ignored", "not_a_login")),
    "unknown outcome": (a_login(outcome="perhaps"), BAD_VALUE),
    "unknown failure reason": (a_login(failure_reason="bad karma"), BAD_VALUE),
    "empty id": (a_login(event_id=""), BAD_VALUE),
    "id of 512 characters": (a_login(event_id="i" * 512), ACCEPTED),
    "id of 513 characters": (a_login(event_id="i" * 513), BAD_VALUE),
    "id of 10 KiB": (a_login(event_id="i" * 10_240), BAD_VALUE),
    "epoch 0": (a_login(event_at="1970-01-01T00:00:00Z"), IMPLAUSIBLE),
    "year 1": (a_login(event_at="0001-01-01T00:00:00+23:59"), IMPLAUSIBLE),
    "year 0": (a_login(event_at="0000-01-01T00:00:00Z"), BAD_TIME),
    "year 9999": (a_login(event_at="9999-12-31T23:59:59Z"), IMPLAUSIBLE),
    "the last instant, rounded up": (a_login(event_at="9999-12-31T23:59:59.9999999Z"), BAD_TIME),
    "year 10000": (a_login(event_at="10000-01-01T00:00:00Z"), BAD_TIME),
    "milliseconds as a number": (a_login(event_at=1_769_947_199_000), WRONG_TYPE),
    "seconds for milliseconds": (a_login(event_at=1_769_947_199), WRONG_TYPE),
    "seconds as a text": (a_login(event_at="1769947199"), BAD_TIME),
    "no zone": (a_login(event_at="2026-02-01T11:59:59"), BAD_TIME),
    "leap second": (a_login(event_at="2026-01-31T23:59:60Z"), BAD_TIME),
    "Feb 30": (a_login(event_at="2026-02-30T10:00:00Z"), BAD_TIME),
    "Feb 29 of another year": (a_login(event_at="2025-02-29T10:00:00Z"), BAD_TIME),
    "hour 24": (a_login(event_at="2026-02-01T24:00:00Z"), BAD_TIME),
    "more than 24 h in the future": (a_login(event_at="2026-02-02T12:00:00.000001Z"), IMPLAUSIBLE),
    "IP with a leading zero": (a_login(src_ip="010.0.0.1"), BAD_ADDRESS),
    "IP of three parts": (a_login(src_ip="1.2.3"), BAD_ADDRESS),
    "IP and port": (a_login(src_ip="1.2.3.4:22"), ACCEPTED),
    "IP and port 65536": (a_login(src_ip="1.2.3.4:65536"), BAD_ADDRESS),
    "list of IPs": (a_login(src_ip="1.2.3.4, 1.2.3.5"), BAD_ADDRESS),
    "IP of 10 KiB": (a_login(src_ip="a" * 10_240), BAD_ADDRESS),
    "empty IP": (a_login(src_ip=""), ACCEPTED),
}


@pytest.mark.parametrize(("value", "verdict"), LOGINS.values(), ids=LOGINS.keys())
def test_a_login_record_gets_its_verdict_and_reason(value: bytes | None, verdict: tuple[str, str | None]) -> None:
    assert part_of(decoded(a_record(value))[0], "verdict", "reason") == verdict


LINES = {
    "null value": (None, ("broken", "empty_record")),
    "white space": (b" \r\n", ("broken", "empty_record")),
    "BOM": (b"\xef\xbb\xbf" + LINE, ("broken", "not_syslog")),
    "UTF-16": (LINE.decode().encode("utf-16"), ("broken", "not_utf8")),
    "invalid UTF-8": (LINE.replace(b"root", b"\xff"), ("broken", "not_utf8")),
    "NUL": (b"\0", ("broken", "empty_record")),
    "NUL in the user": (LINE.replace(b"root", b"\0"), ACCEPTED),
    "no stamp": (LINE[16:], ("broken", "not_syslog")),
    "only a stamp": (LINE[:15], ("broken", "not_syslog")),
    "JSON": (a_login(), ("broken", "not_syslog")),
    "no such month": (a_line("x", stamp="Foo 12 10:20:30"), BAD_TIME),
    "no such day": (a_line("x", stamp="Feb 30 10:20:30"), BAD_TIME),
    "day 0": (a_line("x", stamp="Jan  0 10:20:30"), BAD_TIME),
    "leap second": (a_line("x", stamp="Jan 31 23:59:60"), BAD_TIME),
    "no zone": (LINE.replace(b"Jan 31 10:20:30", b"2026-01-31T10:20:30"), ACCEPTED),
    "no such zone": (a_line("x", stamp="2026-01-31T10:20:30+99:00"), BAD_TIME),
    "half an instant": (a_line("x", stamp="2026-01-31T10Z"), BAD_TIME),
    "year 9999": (a_line("x", stamp="9999-12-31T23:59:59Z"), IMPLAUSIBLE),
    "IP with a leading zero": (LINE.replace(b"192.0.2.1", b"010.0.0.1"), BAD_ADDRESS),
    "port 65536": (LINE.replace(b"port 22", b"port 65536"), ACCEPTED),
    "port in digits of another script": (LINE.replace(b"22", "٢٢".encode()), UNREADABLE),
    "repeated 0 times": (a_line(f"message repeated 0 times: [ {LINE.decode()[25:]}]"), ("ignored", "not_a_login")),
    "1 MiB user": (LINE.replace(b"root", b"a" * MIB), ACCEPTED),
    "1 MiB of sources": (LINE + b" from a port 1" * (MIB // 14) + b" ssh3", UNREADABLE),
    "1 MiB of repeats": (a_line("message repeated 2 times: [ " * (MIB // 28)), ("ignored", "not_a_login")),
    "1 MiB of tag": (a_line("x", tag="a" * MIB), ("ignored", "other_program")),
}


@pytest.mark.parametrize(("value", "verdict"), LINES.values(), ids=LINES.keys())
def test_a_line_gets_its_verdict_and_reason(value: bytes | None, verdict: tuple[str, str | None]) -> None:
    assert part_of(decoded(a_record(value, SSHD_HEADERS))[0], "verdict", "reason") == verdict


@pytest.mark.parametrize(
    ("given_as", "src_ip"),
    [("::ffff:1.2.3.4", "1.2.3.4"), ("fe80::1%eth0", "fe80::1"), ("2001:DB8:0::1", "2001:db8::1"), ("1.2.3.4",) * 2],
)
def test_an_address_gets_its_canonical_form(given_as: str, src_ip: str) -> None:
    row = login_row(a_login(src_ip=given_as))

    assert part_of(row, "verdict", "src_ip", "src_host") == ("accepted", src_ip, None)


@pytest.mark.parametrize(
    "username",
    [
        "\u202eadmin",
        "🦊",
        "=cmd()",
        "<script>alert(1)</script>",
        "' OR 1=1",
        "a\r\nb",
        "\x1b[31mred\x1b[0m",
        "a\0b",
        " ",
    ],
)
def test_a_user_name_is_kept_as_given(username: str) -> None:
    assert part_of(login_row(a_login(username=username)), "verdict", "username") == ("accepted", username)


def test_the_same_id_with_another_body_is_left_to_the_job() -> None:
    rows = decoded(a_record(a_login(username="a")), a_record(a_login(username="b"), offset=8))

    assert [part_of(row, "event_id", "username", "verdict") for row in rows] == [
        ("e1", "a", "accepted"),
        ("e1", "b", "accepted"),
    ]


def test_of_duplicate_keys_the_last_counts() -> None:
    assert login_row(a_login_with('"outcome": "failure"'))["outcome"] == "failure"
    assert login_row(a_login(src_port="x")[:-1] + b', "src_port": 22}')["src_port"] == 22


def test_a_detail_of_a_hostile_record_is_short() -> None:
    assert len(sshd_row(b"\x00\xe2\x80\xa8" * MIB)["detail"]) <= 200
    assert len(login_row(a_login(action="a" * MIB))["detail"]) <= 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KNOWN_FIELDS = ("event_id", "event_at", "action", "outcome", "times", "src_ip", "src_port", "is_mfa", "username", "x")
LOGIN_FIELDS = frozenset(EVENTS.column_names)
LIKELY = st.sampled_from(["login", "logout", "success", "failure", "", "192.0.2.1", "2026-02-01T00:00:00Z", "a.b"])
VALID = st.sampled_from([a_login(), a_login(src_ip="192.0.2.1", x={"a": [1]}), LINE, a_line("Invalid user a from b")])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid record of which a few bytes are others, more or less."""
    value = draw(VALID)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        value = value[:start] + draw(st.binary(max_size=3)) + value[start + draw(st.integers(0, 3)) :]
    return value


def written(value: Any) -> bytes:
    return json.dumps(value).encode()


VALUES = st.one_of(
    st.none(),
    st.binary(max_size=60),
    JSON.map(written),
    st.dictionaries(st.sampled_from(KNOWN_FIELDS), LIKELY | JSON).map(written),
    st.dictionaries(st.sampled_from(KNOWN_FIELDS), LIKELY | JSON).map(lambda fields: a_login(**fields)),
    st.text(max_size=60).map(a_line),
    st.text(max_size=20).map(lambda user: LINE.replace(b"root", user.encode())),
    mutated(),
)
HEADER = st.tuples(
    st.sampled_from(["format", "year", "occurrence"]) | st.text(max_size=5),
    st.none() | st.sampled_from([b"login", b"sshd", b"2026", b"2024", b"1"]) | st.binary(max_size=6),
)
HEADERS = st.none() | st.just(SSHD_HEADERS) | st.lists(st.none() | HEADER, max_size=4)
MICROS = st.none() | st.sampled_from([0, -1, 1_769_947_200_000_000, 2**60, -(2**60)])
RECORDS = st.builds(
    lambda value, headers, appended_at: a_record(value, headers, appended_at=appended_at), VALUES, HEADERS, MICROS
)


@settings(derandomize=True, deadline=None, max_examples=800, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RECORDS, max_size=5))
def test_every_record_gets_one_row_that_depends_on_this_record_alone(records: list[Row]) -> None:
    batch = batch_of(*[record | {"offset": offset} for offset, record in enumerate(records)])

    events = decode(batch, RULES)

    assert events.schema == EVENTS.arrow_schema()
    assert events["offset"].to_pylist() == list(range(len(records)))
    assert set(events["verdict"].to_pylist()) <= set(VERDICTS) - {"duplicate"}
    for verdict, reason in zip(events["verdict"].to_pylist(), events["reason"].to_pylist(), strict=True):
        assert (reason is None) if verdict == "accepted" else (VERDICT_OF[reason] == verdict)
    assert decode(batch, RULES).equals(events)
    for offset in range(len(records)):
        assert decode(batch.slice(offset, 1), RULES).equals(events.slice(offset, 1))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.dictionaries(st.text().filter(lambda name: name not in LOGIN_FIELDS), JSON))
def test_unknown_fields_are_kept_with_equal_values(unknown: dict[str, Any]) -> None:
    extra = login_row(a_login(**unknown))["extra"]

    assert (json.loads(extra) if extra is not None else {}) == unknown


@settings(derandomize=True, deadline=None, max_examples=300)
@given(HEADERS)
def test_bad_headers_of_a_good_record_are_the_only_possible_reason(headers: Any) -> None:
    row = decoded(a_record(LINE) | {"headers": headers_column([*(headers or []), ("format", b"sshd")])})[0]

    assert row["reason"] in {None, "bad_header", "bad_time", "implausible_time"}
