"""What a record of format login becomes, and its JSON Schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from lakehouse.tables.silver import ACTIONS, FAILURE_REASONS
from producer.generate import Plan, batch
from silver.formats.reasons import Reason
from silver.schema import login_schema
from tests.silver.records import a_login, a_login_with, a_record, decoded, login_row, part_of

DOCS = Path(__file__).parents[2] / "docs"
START = datetime(2026, 1, 20, tzinfo=UTC)
END = datetime(2026, 1, 27, tzinfo=UTC)


def test_every_field_reaches_its_column() -> None:
    given = {
        "event_id": "e1",
        "action": "login",
        "outcome": "failure",
        "failure_reason": "mfa_failed",
        "times": 3,
        "username": "bob",
        "src_ip": "192.0.2.1",
        "src_host": "gate.example.org",
        "src_port": 22,
        "app": "mail",
        "host": "mail-1",
        "auth_method": "password",
        "is_mfa": False,
        "session_id": "s1",
        "user_agent": "curl/8.5.0",
        "device_id": "d1",
    }
    row = login_row(a_login(**given, event_at="2026-02-01T12:59:59.123456+01:00"))

    assert {name: row[name] for name in given} == given
    assert row["event_at"] == datetime(2026, 2, 1, 11, 59, 59, 123456, tzinfo=UTC)
    assert part_of(row, "verdict", "reason", "detail", "extra") == ("accepted", None, None, None)


def test_an_absent_field_is_null_and_times_is_one() -> None:
    row = login_row(a_login())

    assert row["times"] == 1
    assert set(part_of(row, "username", "src_ip", "src_port", "app", "is_mfa", "session_id", "extra")) == {None}


@pytest.mark.parametrize("name", ["username", "src_ip", "src_host", "app", "host", "session_id", "user_agent"])
def test_an_empty_text_counts_as_absent(name: str) -> None:
    assert part_of(login_row(a_login(**{name: ""})), "verdict", name) == ("accepted", None)


def test_a_source_given_as_a_name_is_the_source_host() -> None:
    assert part_of(login_row(a_login(src_ip="a.example.org")), "src_ip", "src_host") == (None, "a.example.org")


@pytest.mark.parametrize("action", ACTIONS)
def test_only_a_login_has_an_outcome(action: str) -> None:
    row = login_row(a_login(action=action, outcome="failure"))

    assert part_of(row, "action", "outcome") == (action, "failure" if action == "login" else None)


@pytest.mark.parametrize("reason", FAILURE_REASONS)
def test_a_failure_has_a_reason_and_a_success_has_none(reason: str) -> None:
    assert login_row(a_login(outcome="failure", failure_reason=reason))["failure_reason"] == reason
    assert login_row(a_login(outcome="success", failure_reason=reason))["failure_reason"] is None


def test_unknown_fields_are_kept_unchanged() -> None:
    row = login_row(a_login_with('"big": 1e400, "long": 123456789012345678901234567890, "verdict": {"a": [null]}'))

    assert row["verdict"] == "accepted"
    assert row["extra"] == '{"big":1e400,"long":123456789012345678901234567890,"verdict":{"a": [null]}}'


def test_an_unknown_field_changes_nothing_else() -> None:
    plain, extended = login_row(a_login(src_ip="192.0.2.1")), login_row(a_login(src_ip="192.0.2.1", x=1))

    assert extended == plain | {"extra": '{"x":1}'}


def test_generated_logins_are_accepted_and_pass_the_schema() -> None:
    start, end = (int(at.timestamp()) * 1_000 for at in (START, END))
    values = [record.value for record in batch(Plan(seed=1, start=start, users=20, noise=0.0), events=200, end=end)]
    schema = Draft202012Validator(json.loads(login_schema()))

    assert {row["verdict"] for row in decoded(*map(a_record, values))} == {"accepted"}
    assert [error.message for value in values for error in schema.iter_errors(json.loads(value or b""))] == []


def test_the_schema_refuses_what_the_decoder_refuses() -> None:
    schema = Draft202012Validator(json.loads(login_schema()))

    assert schema.is_valid(json.loads(a_login(x={"kept": True})))
    for broken in (a_login(event_id=""), a_login(src_port=65_536), a_login(times=0), a_login(username=1), b"{}"):
        assert not schema.is_valid(json.loads(broken))
        assert login_row(broken)["verdict"] == "broken"


def test_the_schema_in_the_docs_is_up_to_date() -> None:
    assert (DOCS / "schemas" / "login.schema.json").read_text() == login_schema()


def test_the_docs_list_every_reason_code_with_its_verdict_and_meaning() -> None:
    table = (DOCS / "formats.md").read_text().partition("## Reason codes")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]

    assert rows == [f"| `{reason}` | {reason.verdict} | {reason.meaning} |" for reason in Reason]


def test_an_event_is_the_same_in_every_batch() -> None:
    records = [a_record(a_login(event_id=f"e{number}", src_ip=f"192.0.2.{number}")) for number in range(3)]

    assert decoded(*records) == [decoded(record)[0] for record in records]
