"""Lines of real logs in the spellings of many daemons, and what a client could write into them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.replay import sshd_records
from tests.silver.records import Row, a_login, a_record, decoded, headers_column, login_row, part_of, sshd_row

APPENDED_AT = datetime(2026, 11, 29, tzinfo=UTC)
HEADER = "Nov 28 10:00:00 h sshd[1]: "
KEY = f"SHA256:{'k' * 43}"
FAILURE = "Failed password for alice from 203.0.113.9 port 38066 ssh2"
CHANGED_USER = (
    "Disconnecting authenticating user root 203.0.113.20 port 37612: Change of username or service not allowed:"
)
DENIED = "User root from 203.0.113.7 not allowed because "


def row_of(line: str) -> Row:
    """Return the silver row of a line that has no headers but its format."""
    return sshd_row(line.encode(), [("format", b"sshd")], appended_at=APPENDED_AT, ingested_at=APPENDED_AT)


def rows_of_file(*lines: str) -> list[Row]:
    """Return the silver rows of a file as `loginlake produce replay` sends it."""
    records = sshd_records([line.encode() for line in lines], year=2026)
    columns = {"appended_at": APPENDED_AT, "ingested_at": APPENDED_AT}
    return decoded(
        *(
            a_record(record.value, None, offset=offset, **columns) | {"headers": headers_column(record.headers)}
            for offset, record in enumerate(records)
        )
    )


@pytest.mark.parametrize(
    "message",
    [
        "Connection closed by authenticating user root 203.0.113.20 port 37612 [preauth]",
        "Connection reset by authenticating user root 203.0.113.20 port 37612 [preauth]",
        "Connection closed by authenticating user root 203.0.113.20 port 37612",
        "Disconnected from authenticating user root 203.0.113.20 port 37612 [preauth]",
        "Disconnecting authenticating user root 203.0.113.20 port 37612: Too many authentication failures [preauth]",
        f"{CHANGED_USER} (root,ssh-connection) -> (admin,ssh-connection) [preauth]",
        "Connection from authenticating user root 203.0.113.20 port 37612 timed out [preauth]",
        "fatal: ssh_dispatch_run_fatal: Connection from authenticating user root 203.0.113.20 port 37612: Broken pipe",
    ],
)
def test_a_client_that_leaves_without_a_password_is_a_probe_of_its_user(message: str) -> None:
    row = row_of(HEADER + message)

    assert part_of(row, "verdict", "action", "outcome", "failure_reason") == ("accepted", "probe", None, None)
    assert part_of(row, "username", "src_ip", "src_port") == ("root", "203.0.113.20", 37612)


def test_a_client_that_leaves_as_an_invalid_user_is_not_counted_again() -> None:
    rows = rows_of_file(
        HEADER + "Invalid user bob from 203.0.113.20 port 37612",
        HEADER + "Connection closed by invalid user bob 203.0.113.20 port 37612 [preauth]",
    )

    assert [part_of(row, "verdict", "reason") for row in rows] == [("accepted", None), ("ignored", "not_a_login")]


def test_a_lockout_and_the_disconnect_after_it_are_one_event() -> None:
    lockout = "error: maximum authentication attempts exceeded for root from 203.0.113.20 port 37612 ssh2 [preauth]"
    left = "Disconnecting authenticating user root 203.0.113.20 port 37612: Too many authentication failures [preauth]"

    rows = rows_of_file(HEADER + lockout, HEADER + left, HEADER.replace("[1]", "[2]") + left)

    assert [part_of(row, "action", "reason") for row in rows] == [
        ("lockout", None),
        (None, "same_attempt"),
        ("probe", None),
    ]


STAMP = "Apr 28 13:11:39 "
DOCKER = "2026-04-28T13:11:39.003000000Z "
HEADERS = {
    "BusyBox": STAMP + "localhost auth.info sshd[27366]: ",
    "AIX": STAMP + "host auth|security:info sshd[27366]: ",
    "FreeBSD, numbers": STAMP + "<4.6> host sshd[27366]: ",
    "FreeBSD, names": STAMP + "<auth.info> host sshd[27366]: ",
    "no host": STAMP + "sshd[27366]: ",
    "ESXi": "2026-04-28T13:11:39.003Z sshd[27366]: ",
    "ESXi with a level": "2026-04-28T13:11:39.003Z In(38) sshd[27366]: ",
    "program in brackets": STAMP + "host [sshd]: ",
    "path of the program": STAMP + "host /usr/sbin/sshd[1]: ",
    "PAM module": STAMP + "host sshd(pam_unix)[1]: ",
    "syslog-ng before the program": STAMP + "host [auth.info] sshd[1]: ",
    "syslog-ng after the program": STAMP + "host sshd[1]: [auth.info] ",
    "Solaris": STAMP + "host sshd[1]: [ID 800047 auth.info] ",
    "relay": STAMP + "host (10.0.0.5) sshd[1]: ",
    "relay joined to the host": STAMP + "host(10.0.0.5) sshd[1]: ",
    "docker logs -t": DOCKER + STAMP + "host sshd[1]: ",
    "docker logs -t of sshd -e": DOCKER,
    "CRI": "2026-04-28T13:11:39.003Z stdout F " + STAMP + "host sshd[1]: ",
    "CRI of sshd -e": "2026-04-28T13:11:39.003Z stderr F ",
    "RFC 5424": "<38>1 2026-04-28T13:11:39.003Z host sshd 27366 - - ",
    "RFC 5424 with data": '<38>1 2026-04-28T13:11:39.003Z host sshd 27366 ID47 [a@1 b="c\\]d"][x] \ufeff',
    "priority": "<38>" + STAMP + "host sshd[1]: ",
    "weekday": "Tue Apr 28 13:11:39 2026 ".replace(" 2026", "") + "host sshd[1]: ",
    "year in the stamp": "Apr 28 2026 13:11:39 host sshd[1]: ",
    "fraction of a second": "Apr 28 13:11:39.125 host sshd[1]: ",
    "two blanks before the host": "Apr 28 13:11:39  host sshd[1]: ",
    "macOS": "2026-04-28 06:11:39.344447-0700  localhost sshd[2519]: ",
    "nanoseconds": "2026-04-28T15:11:39.123456789+02:00 host sshd[1]: ",
    "docker logs -t before a priority": DOCKER + "<38>" + STAMP + "host sshd[1]: ",
    "CRI before a tag": "2026-04-28T13:11:39.003Z stderr F sshd[1]: ",
    "docker logs -t before a host": DOCKER + "host sshd-session[1]: ",
    "CRI before RFC 5424": "2026-04-28T13:11:39.003Z stdout F <38>1 2026-04-28T13:11:39.003Z host sshd 27366 - - ",
    "no zone": "2026-04-28T13:11:39 host sshd[1]: ",
    "short zone": "2026-04-28T15:11:39+02 host sshd[1]: ",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_every_spelling_of_a_header_is_read(header: str) -> None:
    row = row_of(header + FAILURE)

    assert part_of(row, "verdict", "action", "outcome", "username", "src_ip", "src_port") == (
        *("accepted", "login", "failure", "alice", "203.0.113.9", 38066),
    )
    assert row["event_at"].replace(microsecond=0) == datetime(2026, 4, 28, 13, 11, 39, tzinfo=UTC)
    assert row["host"] in ("host", "localhost", None)


def test_a_day_that_is_not_padded_is_read() -> None:
    assert row_of("Nov 8 17:15:01 h sshd[1]: " + FAILURE)["event_at"] == datetime(2026, 11, 8, 17, 15, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "header", ["Nov 28 10:00:00 h ", "Nov 28 10:00:00 h -- MARK -- ", "Nov 28 10:00:00 CET h somewhere sshd[1]: "]
)
def test_an_outcome_under_a_header_that_cannot_be_read_is_broken(header: str) -> None:
    assert part_of(row_of(header + FAILURE), "verdict", "reason") == ("broken", "unreadable_outcome")


@pytest.mark.parametrize(
    ("tail", "port"), [(" port 1 ssh2\0", 1), (" port 1 ssh1", 1), (" po", None), (" port 12 ss", 12)]
)
def test_an_odd_tail_leaves_the_failure_where_user_and_source_are_whole(tail: str, port: int | None) -> None:
    row = row_of(f"{HEADER}Failed password for root from 203.0.113.9{tail}")

    assert part_of(row, "verdict", "username", "src_ip", "src_port") == ("accepted", "root", "203.0.113.9", port)


@pytest.mark.parametrize(
    "message",
    [
        "Failed password for ro",
        "Failed password",
        "Accepted publickey for bob from",
        "Invalid user bob",
        "error: PAM: User account has expired for bo",
        "fatal: Access denied for user bo",
        "User root from 203.0.113.9 not allow",
    ],
)
def test_a_line_that_is_cut_before_its_source_is_broken(message: str) -> None:
    assert part_of(row_of(HEADER + message), "verdict", "reason") == ("broken", "unreadable_outcome")


@pytest.mark.parametrize(
    ("message", "reason", "username"),
    [
        ("error: PAM: Authentication failure for outis from 192.0.2.4", "invalid_credentials", "outis"),
        ("error: PAM: Authentication failure for illegal user bob from 192.0.2.4", "unknown_user", "bob"),
        ("error: PAM: User account has expired for bob from 192.0.2.4", "account_disabled", "bob"),
        ("error: PAM: authentication error for root from 192.0.2.4", "invalid_credentials", "root"),
        ("error: PAM: authentication error for illegal user bob from 192.0.2.4", "unknown_user", "bob"),
        ("error: PAM: unknown user for bob from 192.0.2.4", "unknown_user", "bob"),
        ("error: PAM: permission denied for bob from 192.0.2.4", "denied_by_policy", "bob"),
        ("error: PAM: authentication error for root from 192.0.2.4 via 192.168.1.10", "invalid_credentials", "root"),
        ("error: PAM: Authentication failed for bob from 192.0.2.4", "invalid_credentials", "bob"),
        (
            "error: PAM: Have exhausted maximum number of retries for service for bob from 192.0.2.4",
            *("too_many_attempts", "bob"),
        ),
        (
            "error: PAM: Authentication token is no longer valid; new one required for bob from 192.0.2.4",
            *("password_expired", "bob"),
        ),
        ("Failed password for illegal user bob from 192.0.2.4 port 5 ssh2", "unknown_user", "bob"),
        ("ROOT LOGIN REFUSED FROM 192.0.2.4 port 5", "denied_by_policy", "root"),
    ],
)
def test_errors_of_pam_and_old_spellings_are_failures(message: str, reason: str, username: str) -> None:
    row = row_of(HEADER + message)

    assert part_of(row, "action", "outcome", "failure_reason") == ("login", "failure", reason)
    assert part_of(row, "username", "src_ip") == (username, "192.0.2.4")


def test_an_illegal_user_of_an_old_release_is_a_probe() -> None:
    row = row_of(HEADER + "Illegal user test from 192.0.2.4")

    assert part_of(row, "action", "failure_reason", "username", "src_ip") == (
        *("probe", "unknown_user", "test", "192.0.2.4"),
    )


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (f"Accepted publickey for bob from 192.0.2.4 port 5 ssh2: RSA-CERT ID b@c (serial 5) CA RSA {KEY}", "success"),
        (f"Failed publickey for bob from 192.0.2.4 port 5 ssh2: DSA-CERT-V00 ID b (serial 5) CA RSA {KEY}", "failure"),
    ],
)
def test_a_certificate_of_an_old_release_has_no_fingerprint(message: str, outcome: str) -> None:
    assert part_of(row_of(HEADER + message), "outcome", "username", "src_ip") == (outcome, "bob", "192.0.2.4")


@pytest.mark.parametrize("why", ["shell /bin/none does not exist", "shell /bin/none is not executable"])
def test_a_denial_for_its_shell_names_no_source(why: str) -> None:
    row = row_of(f"{HEADER}User bob not allowed because {why}")

    assert part_of(row, "outcome", "failure_reason", "username", "src_ip") == (
        *("failure", "denied_by_policy", "bob", None),
    )


@pytest.mark.parametrize("prefix", ["2026-04-28T13:11:39.003Z stderr F ", DOCKER], ids=["CRI", "docker logs -t"])
@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("error: maximum authentication attempts exceeded for root from 192.0.2.4 port 5 ssh2 [preauth]", "lockout"),
        ("error: PAM: Authentication failure for root from 192.0.2.4", "login"),
        ("PAM: Authentication failure for root from 192.0.2.4", "login"),
        ("fatal: Access denied for user root by PAM account configuration [preauth]", "login"),
        (
            "ssh_dispatch_run_fatal: Connection from authenticating user root 192.0.2.4 port 5: Broken pipe [preauth]",
            "probe",
        ),
    ],
)
def test_a_message_in_a_container_may_begin_like_a_program(prefix: str, message: str, action: str) -> None:
    assert part_of(row_of(prefix + message), "verdict", "action", "username") == ("accepted", action, "root")


CERTIFICATE = f"ED25519-CERT {KEY} ID y from 10.0.0.1 port 22 ssh2: ED25519 {KEY} (serial 1) CA ED25519 {KEY}"
AMBIGUOUS = f"ED25519-CERT {KEY} ID y from 10.0.0.1 port 22 ssh2: ED25519-CERT {KEY} ID z (serial 1) CA ED25519 {KEY}"
HOSTBASED = f'ED25519 {KEY}, client user "x from 10.0.0.1 port 22 ssh2: y", client host "evil.example"'


@pytest.mark.parametrize(
    ("message", "username"),
    [
        (f"Failed publickey for invalid user x from 203.0.113.10 port 4444 ssh2: {CERTIFICATE}", "x"),
        (f"Failed hostbased for root from 203.0.113.10 port 4444 ssh2: {HOSTBASED}", "root"),
        (
            "Failed password for invalid user x from 10.0.0.1 port 22 ssh2 from 203.0.113.10 port 4444 ssh2",
            "x from 10.0.0.1 port 22 ssh2",
        ),
        (
            "Connection closed by authenticating user x 10.0.0.1 port 22 203.0.113.10 port 4444 [preauth]",
            "x 10.0.0.1 port 22",
        ),
    ],
)
def test_text_that_the_client_chose_is_not_taken_for_the_source(message: str, username: str) -> None:
    assert part_of(row_of(HEADER + message), "username", "src_ip", "src_port") == (username, "203.0.113.10", 4444)


@pytest.mark.parametrize("length", [500, 1_023])
def test_a_message_that_is_cut_within_a_certificate_has_its_source(length: int) -> None:
    whole = f"Failed publickey for root from 203.0.113.10 port 4444 ssh2: ED25519-CERT {KEY} ID {'a' * 1_000}"
    message = whole[:length]

    assert part_of(row_of(HEADER + message), "outcome", "username", "src_ip", "src_port") == (
        *("failure", "root", "203.0.113.10", 4444),
    )


def test_where_two_readings_are_well_formed_there_is_no_source() -> None:
    row = row_of(f"{HEADER}Failed publickey for invalid user x from 203.0.113.10 port 4444 ssh2: {AMBIGUOUS}")

    assert part_of(row, "verdict", "src_ip", "src_host", "src_port") == ("accepted", None, None, None)
    assert "Two sources fit" in row["detail"]


@pytest.mark.parametrize(
    "why",
    [
        "not listed in AllowUsers",
        "listed in DenyUsers",
        "none of user's groups are listed in AllowGroups",
        "a group is listed in DenyGroups",
        "shell /bin/none does not exist",
        "shell /bin/none is not executable",
        "account expired",
    ],
)
def test_a_user_whom_the_configuration_denies_is_a_failure(why: str) -> None:
    row = row_of(HEADER + DENIED + why)

    assert part_of(row, "action", "outcome", "failure_reason") == ("login", "failure", "denied_by_policy")
    assert part_of(row, "username", "src_ip") == ("root", "203.0.113.7")


def test_a_denial_and_the_password_of_its_attempt_are_one_attempt() -> None:
    failed = "Failed password for invalid user root from 203.0.113.7 port 5 ssh2"
    rows = rows_of_file(HEADER + DENIED + "not listed in AllowUsers", HEADER + failed, HEADER + failed)

    assert [part_of(row, "verdict", "failure_reason", "reason") for row in rows] == [
        ("accepted", "denied_by_policy", None),
        ("ignored", None, "same_attempt"),
        ("accepted", "denied_by_policy", None),
    ]


FAILED_BOB = "Failed password for invalid user bob from 203.0.113.7 port 5 ssh2"
ASKED_PAM = "Failed keyboard-interactive/pam for bob from 203.0.113.7 port 5 ssh2"


@pytest.mark.parametrize(
    ("first", "second", "counted"),
    [
        ("error: PAM: Authentication failure for bob from 203.0.113.7", ASKED_PAM, ["invalid_credentials"]),
        (
            "error: PAM: authentication error for illegal user bob from 203.0.113.7",
            ASKED_PAM.replace("for bob", "for invalid user bob"),
            ["unknown_user"],
        ),
        ("error: PAM: Authentication failure for ann from 203.0.113.7", ASKED_PAM, ["invalid_credentials"] * 2),
        ("error: PAM: Authentication failure for bob from 203.0.113.99", ASKED_PAM, ["invalid_credentials"] * 2),
        ("error: PAM: Authentication failure for bob from gate.example.org", ASKED_PAM, ["invalid_credentials"] * 2),
        (
            "User bob from UNKNOWN not allowed because listed in DenyUsers",
            *(FAILED_BOB.replace("203.0.113.7", "UNKNOWN"), ["denied_by_policy"]),
        ),
        # The address is in the second line alone.
        ("User bob not allowed because account is locked", FAILED_BOB, ["account_locked", "denied_by_policy"]),
        ("Account bob has expired", FAILED_BOB, ["denied_by_policy"] * 2),
        (
            "User bob from gate.example.org not allowed because listed in DenyUsers",
            FAILED_BOB,
            ["denied_by_policy"] * 2,
        ),
        # Another connection, whose process has the same number.
        (
            "User bob from 203.0.113.99 not allowed because listed in DenyUsers",
            *(FAILED_BOB, ["denied_by_policy", "unknown_user"]),
        ),
    ],
)
def test_two_lines_of_one_attempt_are_counted_once_unless_only_the_second_names_the_address(
    first: str, second: str, counted: list[str]
) -> None:
    rows = rows_of_file(HEADER + first, HEADER + second)

    assert [row["failure_reason"] for row in rows if row["verdict"] == "accepted"] == counted
    assert {row["reason"] for row in rows} <= {None, "same_attempt"}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_the_lines_of_an_attempt_are_found_under_every_header_that_names_a_process(header: str) -> None:
    failed = "Failed password for invalid user root from 203.0.113.7 port 5 ssh2"
    rows = rows_of_file(header + DENIED + "listed in DenyUsers", header + failed)

    is_known = "sshd 27366" in header or "[1]: " in header or "[27366]: " in header or "[2519]: " in header
    assert part_of(rows[1], "verdict") == (("ignored",) if is_known else ("accepted",))


@pytest.mark.parametrize("header", [DOCKER, HEADERS["CRI of sshd -e"], HEADERS["program in brackets"]])
def test_a_tag_that_the_client_chose_hides_no_failure(header: str) -> None:
    chosen = "invalid user sshd[7]: User x from 203.0.113.7 not allowed because "
    failed = "Failed password for invalid user sshd[7]: Failed x for invalid user x from 203.0.113.7 from 203.0.113.7"
    rows = rows_of_file(
        f"{header}Connection closed by {chosen} 203.0.113.7 port 4 [preauth]", f"{header}{failed} port 5"
    )

    assert part_of(rows[1], "verdict", "src_ip") == ("accepted", "203.0.113.7")


@pytest.mark.parametrize(
    "line", [HEADER + "last message repeated 2 times", "Nov 28 10:00:00 last message repeated 2 times"]
)
def test_a_repeat_without_its_message_is_ignored_with_that_reason(line: str) -> None:
    assert part_of(row_of(line), "verdict", "reason") == ("ignored", "repeated_line")


@pytest.mark.parametrize("text", [FAILURE, "Invalid user alice from 203.0.113.9"])
def test_a_daemon_that_keeps_no_blank_before_a_message_repeats_it_without_one(text: str) -> None:
    row = row_of(f"{HEADER}message repeated 2 times: [{text}]")

    assert part_of(row, "times", "username", "src_ip") == (2, "alice", "203.0.113.9")


def test_syslog_ng_quotes_what_it_suppressed() -> None:
    message = "Last message 'Failed password for root from 203.0.113.5 port 23 ssh2' repeated 2 times"
    row = row_of(f"{HEADER}{message}, suppressed by syslog-ng on h")

    assert part_of(row, "outcome", "times", "username", "src_ip") == ("failure", 2, "root", "203.0.113.5")


@pytest.mark.parametrize(
    ("source", "expected"), [("<private> port 50000", (None, None)), ("192.0.2.1 port 65536", ("192.0.2.1", None))]
)
def test_a_login_is_kept_where_its_address_or_port_is_not_one(source: str, expected: tuple[Any, ...]) -> None:
    row = row_of(f"{HEADER}Accepted publickey for admin from {source} ssh2: RSA {KEY}")

    assert part_of(row, "verdict", "outcome", "src_ip", "src_port") == ("accepted", "success", *expected)


@pytest.mark.parametrize("user", ["root", "invalid user bob"])
def test_the_first_question_of_a_client_is_not_an_attempt(user: str) -> None:
    row = row_of(f"{HEADER}Failed none for {user} from 192.0.2.1 port 5 ssh2")

    assert part_of(row, "verdict", "reason") == ("ignored", "not_an_attempt")


@pytest.mark.parametrize("given_as", ["-", "N/A", "AWS Internal", "signin (console)"])
def test_a_placeholder_for_a_source_is_kept_as_text(given_as: str) -> None:
    row = login_row(a_login(src_ip=given_as, x=1))

    assert part_of(row, "verdict", "src_ip", "src_host") == ("accepted", None, None)
    assert row["extra"] == f'{{"x":1,"src_ip":"{given_as}"}}'


@pytest.mark.parametrize(
    ("given_as", "ip", "host", "port"),
    [
        ("203.0.113.9:52000", "203.0.113.9", None, 52000),
        ("[2001:db8::1]:443", "2001:db8::1", None, 443),
        ("gate.example.org:22", None, "gate.example.org", 22),
        ("2001:db8::1", "2001:db8::1", None, None),
    ],
)
def test_a_source_with_a_port_is_split(given_as: str, ip: str | None, host: str | None, port: int | None) -> None:
    row = login_row(a_login(src_ip=given_as))

    assert part_of(row, "verdict", "src_ip", "src_host", "src_port") == ("accepted", ip, host, port)


# What a client can choose: pieces of real lines that name a source, and what may stand between them.
CHOSEN_ADDRESS = "10.0.0.1"
PIECES = st.sampled_from(
    [
        f" from {CHOSEN_ADDRESS}",
        f" from {CHOSEN_ADDRESS} port 22",
        f" from {CHOSEN_ADDRESS} port 22 ssh2",
        f" {CHOSEN_ADDRESS} port 22",
        f" {CHOSEN_ADDRESS} port 22: Too many authentication failures",
        " not allowed because not listed in AllowUsers",
        f"ED25519 {KEY}",
        f": ED25519 {KEY}",
        f": ED25519-CERT {KEY} ID z",
        f" (serial 1) CA ED25519 {KEY}",
        '", client host "evil"',
        ', client user "',
        " [preauth]",
        "]",
        "' repeated 2 times, suppressed by syslog-ng on h",
        "invalid user ",
        "Failed password for root",
        "x",
        " ",
        ": ",
    ]
)
CHOSEN = st.lists(PIECES, max_size=6).map("".join)
WRITTEN_BY_SSHD = """
Failed password for {user} from {source} port 4444 ssh2
Failed password for invalid user {user} from {source} port 4444 ssh2
Failed keyboard-interactive/pam for invalid user {user} from {source} port 4444 ssh2 [preauth]
Failed publickey for invalid user {user} from {source} port 4444 ssh2: ED25519 {key}
Failed publickey for {user} from {source} port 4444 ssh2: ED25519-CERT {key} ID {text} (serial 1) CA RSA {key}
Failed hostbased for {user} from {source} port 4444 ssh2: RSA {key}, client user "{text}", client host "{text}"
Accepted publickey for root from {source} port 4444 ssh2: RSA-CERT {key} ID {text} (serial 1) CA ED25519 {key}
Invalid user {user} from {source} port 4444
Invalid user {user} from {source}
error: maximum authentication attempts exceeded for invalid user {user} from {source} port 4444 ssh2 [preauth]
error: PAM: Authentication failure for illegal user {user} from {source}
error: PAM: authentication error for {user} from {source} via 10.0.0.2
Failed publickey for {user} from {source} port 4444 ssh2: RSA-CERT ID {text} (serial 1) CA RSA {key}
fatal: ssh_dispatch_run_fatal: Connection from authenticating user {user} {source} port 4444: Broken pipe [preauth]
User {user} from {source} not allowed because not listed in AllowUsers
Connection closed by authenticating user {user} {source} port 4444 [preauth]
Disconnecting authenticating user {user} {source} port 4444: Too many authentication failures [preauth]
Disconnecting authenticating user {user} {source} port 4444: Change of username: ({user},ssh) -> ({text},ssh) [preauth]
""".strip().splitlines()
AROUND = st.sampled_from(
    ["{}", "message repeated 2 times: [ {}]", "Last message '{}' repeated 2 times, suppressed by syslog-ng on h"]
)


@given(st.sampled_from(WRITTEN_BY_SSHD), AROUND, CHOSEN, CHOSEN)
def test_no_line_gives_a_source_that_its_client_chose(written: str, around: str, user: str, text: str) -> None:
    message = written.format(user=user, text=text, source="203.0.113.10", key=KEY)

    row = row_of(HEADER + around.format(message))

    assert row["src_ip"] in (None, "203.0.113.10")
    assert row["src_host"] is None


CUT_AT = {
    "syslog": (500, "{}"),
    "standard error": (1_023, "{}"),
    "rsyslog, repeated": (800, "message repeated 2 times: [ {}]"),
}


@pytest.mark.parametrize(("length", "around"), CUT_AT.values(), ids=CUT_AT.keys())
@given(st.sampled_from([line for line in WRITTEN_BY_SSHD if "-CERT " in line]), CHOSEN)
def test_no_cut_line_gives_a_source_that_its_client_chose(length: int, around: str, written: str, text: str) -> None:
    before = written.partition("{text}")[0].format(user="root", source="203.0.113.10", key=KEY)
    message = before + "a" * (length - len(before) - len(text)) + text

    row = row_of(HEADER + around.format(message))

    assert row["verdict"] == "accepted"
    assert row["src_ip"] in (None, "203.0.113.10")
    assert row["src_host"] is None


@given(st.sampled_from([line for line in WRITTEN_BY_SSHD if "hostbased" in line or "-CERT " in line]), CHOSEN, CHOSEN)
def test_no_cut_line_of_any_user_gives_a_source_that_its_client_chose(written: str, user: str, text: str) -> None:
    names = {"user": user, "text": "a" * 500 + text, "source": "203.0.113.10", "key": KEY}

    for length in (500, 800, 1_023):
        row = row_of(HEADER + written.format(**names)[:length])

        assert row["src_ip"] in (None, "203.0.113.10")
        assert row["src_host"] is None


def test_an_address_at_the_end_of_a_cut_message_is_not_read() -> None:
    message = f"error: PAM: Authentication failure for illegal user {'a' * 500} from 192.0.2.12"
    cut = message.replace("a" * 500, "a" * (500 - len(message) + 500))

    row = row_of(HEADER + cut)

    assert (len(cut), row["verdict"], row["src_ip"]) == (500, "accepted", None)


def test_a_denied_user_who_is_asked_by_pam_is_counted_once_for_each_attempt() -> None:
    error = "error: PAM: Authentication failure for illegal user root from 203.0.113.7"
    failed = "Failed keyboard-interactive/pam for invalid user root from 203.0.113.7 port 5 ssh2"
    lines = [DENIED + "listed in DenyUsers", error, failed, error, failed]

    rows = rows_of_file(*(HEADER + line for line in lines))

    assert [row["failure_reason"] for row in rows if row["verdict"] == "accepted"] == ["denied_by_policy"] * 2
    assert [row["reason"] for row in rows] == [None, "same_attempt", "same_attempt", None, "same_attempt"]
