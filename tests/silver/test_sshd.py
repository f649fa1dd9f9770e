"""Lines of OpenSSH: old and new spellings, and text that attackers choose."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producer.replay import sshd_records
from tests.silver.records import (
    APPENDED_AT,
    SSHD_HEADERS,
    Headers,
    Row,
    a_line,
    a_record,
    decoded,
    headers_column,
    part_of,
    sshd_row,
)

REPORTED = ("action", "outcome", "failure_reason", "username", "src_ip", "src_host", "src_port", "auth_method")
BY_PASSWORD = ("login", "failure", "invalid_credentials")
BY_UNKNOWN = ("login", "failure", "unknown_user")
FAILED = a_line("Failed password for root from 192.0.2.1 port 22 ssh2")
REAL_LOG = os.environ.get("LOGINLAKE_SSHD_LOG")


@pytest.mark.parametrize(
    ("message", "reported"),
    [
        (
            "Accepted password for bob from 192.0.2.1 port 22 ssh2",
            ("login", "success", None, "bob", "192.0.2.1", None, 22, "password"),
        ),
        (
            "Accepted publickey for bob from 2001:DB8::1 port 22 ssh2: RSA SHA256:abc/+",
            ("login", "success", None, "bob", "2001:db8::1", None, 22, "publickey"),
        ),
        (
            "Accepted publickey for bob from 192.0.2.1 port 22 ssh2: ED25519-CERT SHA256:a ID b (serial 0) CA RSA c",
            ("login", "success", None, "bob", "192.0.2.1", None, 22, "publickey"),
        ),
        (
            "Failed password for bob from 192.0.2.1 port 22 ssh2",
            (*BY_PASSWORD, "bob", "192.0.2.1", None, 22, "password"),
        ),
        (
            "Failed keyboard-interactive/pam for bob from ::ffff:192.0.2.1 port 22 ssh2",
            (*BY_PASSWORD, "bob", "192.0.2.1", None, 22, "keyboard-interactive/pam"),
        ),
        (
            "Failed password for bob from gate.example.org port 22 ssh2",
            (*BY_PASSWORD, "bob", None, "gate.example.org", 22, "password"),
        ),
        (
            "Failed password for bob from UNKNOWN port 65535 ssh2",
            (*BY_PASSWORD, "bob", None, None, None, "password"),
        ),
        (
            "Failed password for bob from fe80::1%eth0 port 22 ssh2 [preauth]",
            (*BY_PASSWORD, "bob", "fe80::1", None, 22, "password"),
        ),
        ("Failed password for bob from 192.0.2.1", (*BY_PASSWORD, "bob", "192.0.2.1", None, None, "password")),
        (
            "Failed password for invalid user  from 192.0.2.1 port 22 ssh2",
            (*BY_UNKNOWN, None, "192.0.2.1", None, 22, "password"),
        ),
        (
            "Failed password for invalid user a from 1.2.3.4 port 22 ssh2 from 192.0.2.1 port 9 ssh2",
            (*BY_UNKNOWN, "a from 1.2.3.4 port 22 ssh2", "192.0.2.1", None, 9, "password"),
        ),
        (
            "Failed publickey for invalid user a from 1.2.3.4 port 2 ssh2: x from 192.0.2.1 port 9 ssh2: RSA SHA256:b",
            (*BY_UNKNOWN, "a from 1.2.3.4 port 2 ssh2: x", "192.0.2.1", None, 9, "publickey"),
        ),
        (
            "Failed password for invalid user a [b] ]: c from 192.0.2.1 port 9 ssh2",
            (*BY_UNKNOWN, "a [b] ]: c", "192.0.2.1", None, 9, "password"),
        ),
        (
            "Failed password for invalid user invalid user a from 192.0.2.1 port 9 ssh2",
            (*BY_UNKNOWN, "invalid user a", "192.0.2.1", None, 9, "password"),
        ),
        (
            "Invalid user bob from 192.0.2.1 port 22",
            ("probe", None, "unknown_user", "bob", "192.0.2.1", None, 22, None),
        ),
        ("Invalid user bob from 192.0.2.1", ("probe", None, "unknown_user", "bob", "192.0.2.1", None, None, None)),
        ("Invalid user  from 192.0.2.1", ("probe", None, "unknown_user", None, "192.0.2.1", None, None, None)),
        (
            "Invalid user a from 1.2.3.4 port 1 from 192.0.2.1 port 22",
            ("probe", None, "unknown_user", "a from 1.2.3.4 port 1", "192.0.2.1", None, 22, None),
        ),
        (
            "error: maximum authentication attempts exceeded for invalid user a b from 192.0.2.1 port 2 ssh2 [preauth]",
            ("lockout", None, "too_many_attempts", "a b", "192.0.2.1", None, 2, None),
        ),
        (
            "pam_unix(sshd:session): session closed for user bob",
            ("logout", None, None, "bob", None, None, None, None),
        ),
    ],
)
def test_a_message_is_read(message: str, reported: tuple[object, ...]) -> None:
    row = sshd_row(a_line(message))

    assert part_of(row, *REPORTED) == reported
    assert part_of(row, "verdict", "times", "app", "host") == ("accepted", 1, "sshd", "gate")


def test_repeats_are_one_row_with_their_number() -> None:
    row = sshd_row(a_line("message repeated 5 times: [ Failed password for a ] b from 192.0.2.1 port 22 ssh2]"))

    assert part_of(row, *REPORTED[:4], "times") == (*BY_PASSWORD, "a ] b", 5)


@pytest.mark.parametrize(
    "message",
    [
        "Server listening on 0.0.0.0 port 22.",
        "pam_unix(sshd:session): session opened for user bob by (uid=0)",
        "pam_unix(sshd:auth): check pass; user unknown",
        "Received disconnect from 192.0.2.1: 11: Bye Bye [preauth]",
        "Disconnecting: Too many authentication failures for root [preauth]",
        "input_userauth_request: invalid user bob [preauth]",
        "message repeated 2 times: [ Server listening on 0.0.0.0 port 22.]",
    ],
)
def test_companions_of_a_login_are_ignored(message: str) -> None:
    row = sshd_row(a_line(message))

    assert part_of(row, "verdict", "reason", "event_id") == ("ignored", "not_a_login", None)
    assert row["event_at"] == datetime(2026, 1, 31, 10, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize("tag", ["CRON[1]: ", "sshdx[1]: ", "kernel: ", "/usr/bin/logger[2]: ", "su: "])
def test_lines_of_other_programs_are_ignored_whatever_their_text(tag: str) -> None:
    row = sshd_row(a_line("Accepted password for bob from 192.0.2.1 port 22 ssh2", tag=tag))

    assert part_of(row, "verdict", "reason") == ("ignored", "other_program")


@pytest.mark.parametrize("tag", ["sshd[1]: ", "sshd: ", "sshd-session[1]: ", "sshd-auth[1]: "])
def test_sshd_has_several_program_names(tag: str) -> None:
    assert sshd_row(a_line("Invalid user bob from 192.0.2.1", tag=tag))["action"] == "probe"


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2026-01-31T10:20:30.123456+02:00", datetime(2026, 1, 31, 8, 20, 30, 123456, tzinfo=UTC)),
        ("2026-01-31T10:20:30Z", datetime(2026, 1, 31, 10, 20, 30, tzinfo=UTC)),
        ("Jan  1 00:00:00", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_stamps_are_read_as_utc_or_by_their_offset(stamp: str, at: datetime) -> None:
    assert sshd_row(a_line("Invalid user a from b", stamp=stamp))["event_at"] == at


def year_for(stamp: str, appended_at: datetime, headers: Headers = (("format", b"sshd"),)) -> int | str:
    """The year that the row has, or the reason why it has none."""
    row = sshd_row(a_line("Invalid user a from b", stamp=stamp), headers, appended_at=appended_at)
    year: int | str = row["event_at"].year if row["event_at"] else row["reason"]
    return year


@pytest.mark.parametrize(
    ("stamp", "appended_at", "year"),
    [
        ("Dec 31 23:59:59", datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC), 2025),
        ("Jan  1 00:00:05", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), 2026),
        ("Feb  2 12:00:00", APPENDED_AT, 2026),
        ("Feb  2 12:00:01", APPENDED_AT, 2025),
        ("Feb 29 10:00:00", APPENDED_AT, 2024),
        ("Feb 29 10:00:00", datetime(2024, 2, 29, 10, 0, 1, tzinfo=UTC), 2024),
        ("Feb 29 10:00:00", datetime(1904, 2, 1, tzinfo=UTC), 1896),
    ],
)
def test_without_a_year_the_one_closest_before_the_latest_plausible_instant_counts(
    stamp: str, appended_at: datetime, year: int
) -> None:
    assert year_for(stamp, appended_at) == year


@pytest.mark.parametrize(
    ("stamp", "header", "year"),
    [
        ("Jan 31 10:00:00", b"2020", 2020),
        ("Feb 29 10:00:00", b"2024", 2024),
        ("Feb 29 10:00:00", b"2025", "bad_time"),
        ("Jan 31 10:00:00", b"0000", "bad_time"),
        ("Jan 31 10:00:00", b"2027", "implausible_time"),
        ("Jan 31 10:00:00", b"26", "bad_header"),
        ("Jan 31 10:00:00", b"\xff", "bad_header"),
        ("2026-01-31T10:20:30Z", b"\xff", 2026),
    ],
)
def test_the_year_header_decides(stamp: str, header: bytes, year: int | str) -> None:
    assert year_for(stamp, APPENDED_AT, [("format", b"sshd"), ("year", header)]) == year


def event_id(line: bytes, occurrence: bytes | None = b"0", **columns: int) -> str:
    headers: Headers = [("format", b"sshd"), ("year", b"2026"), ("occurrence", occurrence)]
    row = sshd_row(line, headers, **columns)
    assert row["verdict"] == "accepted"
    identity: str = row["event_id"]
    return identity


def test_an_id_depends_on_host_line_and_occurrence_alone() -> None:
    assert event_id(FAILED) == event_id(FAILED, offset=99) == event_id(FAILED + b"\r\n", b"00")
    assert len({event_id(FAILED), event_id(FAILED, b"1"), event_id(FAILED.replace(b"gate", b"door"))}) == 3


def test_a_line_without_an_occurrence_is_never_a_duplicate() -> None:
    assert event_id(FAILED, None) == "logs:0:7"
    assert event_id(FAILED, None, offset=8) == "logs:0:8"


@pytest.mark.parametrize("occurrence", [b"one", b"", b"-1", b"1" * 19, b"\xff"])
def test_an_occurrence_that_is_not_a_number_is_a_bad_header(occurrence: bytes) -> None:
    row = sshd_row(FAILED, [("format", b"sshd"), ("occurrence", occurrence)])

    assert part_of(row, "verdict", "reason") == ("broken", "bad_header")


def replayed(lines: list[bytes], *, year: int) -> list[Row]:
    """The silver rows of lines as `loginlake produce replay` sends them."""
    records = enumerate(sshd_records(lines, year=year))
    return decoded(
        *[
            a_record(record.value, None, offset=offset) | {"headers": headers_column(record.headers)}
            for offset, record in records
        ]
    )


def test_equal_lines_of_a_replayed_file_are_separate_events_and_replaying_gives_the_same() -> None:
    lines = [FAILED, FAILED, FAILED + b" ", FAILED + b"\r"]
    first = [row["event_id"] for row in replayed(lines, year=2026)]

    assert len(set(first)) == len(lines)
    assert [row["event_id"] for row in replayed(lines, year=2026)] == first


@pytest.mark.skipif(REAL_LOG is None, reason="LOGINLAKE_SSHD_LOG names no real sshd log")
def test_the_real_log_has_the_known_numbers_of_events() -> None:
    lines = Path(str(REAL_LOG)).read_bytes().splitlines()
    rows = replayed(lines, year=APPENDED_AT.year - 1)
    logins = [row for row in rows if (row["verdict"], row["action"]) == ("accepted", "login")]

    assert (len(rows), len(logins)) == (7_121, 943)
    assert sum(row["outcome"] == "success" for row in logins) == 226
    assert sum(row["times"] for row in logins if row["outcome"] == "failure") == 1_042
    accepted = [(row["event_on"], row["event_id"]) for row in rows if row["verdict"] == "accepted"]
    assert len(set(accepted)) == len(accepted)
    attempts = [lines[row["offset"]] for row in logins]
    assert len(attempts) - len(set(attempts)) == 5
    assert not [row for row in rows if row["verdict"] == "broken"]


def test_headers_of_the_builder_are_those_of_replay() -> None:
    assert list(SSHD_HEADERS or []) == next(iter(sshd_records([FAILED], year=2026))).headers
