"""From Arrow batches of bronze rows to rows of silver.events: headers, formats, bounds, columns."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from lakehouse.errors import UsageError
from lakehouse.settings import load_settings
from lakehouse.tables.silver import EVENTS
from silver.decode import DecodeRules, decode
from silver.formats.login import LOGIN
from tests.silver.records import (
    APPENDED_AT,
    INGESTED_AT,
    RULES,
    SSHD_HEADERS,
    Headers,
    a_line,
    a_login,
    a_record,
    batch_of,
    decoded,
    login_row,
    part_of,
)

LINE = a_line("Failed password for root from 192.0.2.1 port 22 ssh2")
MICROSECOND = timedelta(microseconds=1)


def test_the_columns_are_those_of_the_declared_table() -> None:
    assert decode(batch_of(a_record(a_login())), RULES).schema == EVENTS.arrow_schema()


def test_no_records_are_no_rows() -> None:
    events = decode(batch_of(), RULES)

    assert events.num_rows == 0
    assert events.schema == EVENTS.arrow_schema()


def test_a_row_has_the_position_of_its_record_and_its_decoder() -> None:
    row = login_row(a_login(), topic="t", partition=3, offset=99)

    assert part_of(row, "topic", "partition", "offset") == ("t", 3, 99)
    assert part_of(row, "appended_at", "ingested_at") == (APPENDED_AT, INGESTED_AT)
    assert part_of(row, "format", "decoder_version") == ("login", LOGIN.version)
    assert part_of(row, "winner_topic", "winner_partition", "winner_offset") == (None, None, None)


def test_input_columns_may_have_another_order_wider_types_and_others_beside_them() -> None:
    batch = batch_of(a_record(a_login()), a_record(LINE, SSHD_HEADERS))
    wide = pa.RecordBatch.from_pydict(
        {name: batch[name] for name in reversed(batch.schema.names)}
        | {
            "value": batch["value"].cast(pa.large_binary()),
            "topic": batch["topic"].cast(pa.large_string()),
            "appended_at": batch["appended_at"].cast(pa.timestamp("us", tz="Europe/Berlin")),
            "headers": batch["headers"].cast(pa.list_(pa.struct({"key": pa.string(), "value": pa.binary()}))),
            "key": pa.nulls(2, pa.binary()),
        }
    )

    assert decode(wide, RULES).equals(decode(batch, RULES))


def test_a_slice_of_a_batch_gives_the_rows_of_its_records() -> None:
    records = [
        a_record(a_login(), [("trace", b"1"), ("format", b"login")]),
        a_record(LINE, SSHD_HEADERS, offset=8),
        a_record(a_login(), None, offset=9),
        a_record(LINE, [("format", b"sshd")], offset=10),
    ]
    events = decode(batch_of(*records), RULES)

    assert events["format"].to_pylist() == ["login", "sshd", "login", "sshd"]
    assert decode(batch_of(*records).slice(1, 2), RULES).equals(events.slice(1, 2))


def test_a_null_list_of_headers_has_none_even_if_arrow_has_values_under_it() -> None:
    batch = batch_of(a_record(a_login(), SSHD_HEADERS), a_record(LINE, SSHD_HEADERS))
    full = batch["headers"]
    hidden = pa.ListArray.from_arrays(full.offsets, full.values, mask=pa.array([True, False]))
    columns = {name: batch[name] for name in batch.schema.names} | {"headers": hidden}

    assert decode(pa.RecordBatch.from_pydict(columns), RULES)["format"].to_pylist() == ["login", "sshd"]


@pytest.mark.parametrize(
    ("headers", "read_as"),
    [
        (None, "login"),
        ([], "login"),
        ([None], "login"),
        ([("format", None)], "login"),
        ([("Format", b"sshd")], "login"),
        ([("format", b"sshd")], "sshd"),
        ([("format", b"login"), ("format", b"sshd")], "sshd"),
        ([("format", b"sshd"), ("format", None)], "sshd"),
        ([(f"h{number}", b"\xff\x00") for number in range(1_000)] + [("format", b"sshd")], "sshd"),
        ([("format", b"LOGIN")], None),
        ([("format", b"")], None),
        ([("format", b"\xff\xfe")], None),
    ],
)
def test_the_header_format_selects_the_decoder(headers: Headers, read_as: str | None) -> None:
    assert decoded(a_record(LINE, headers))[0]["format"] == read_as


def test_a_record_of_an_unknown_format_is_broken_and_its_detail_lists_the_known_ones() -> None:
    row = decoded(a_record(a_login(), [("format", b"c\xffsv")]))[0]

    assert part_of(row, "verdict", "reason", "format", "decoder_version") == ("broken", "unknown_format", None, None)
    assert row["detail"] == "'c\ufffdsv' is not one of login, sshd"


def test_an_unknown_default_format_is_refused_with_a_list_of_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"LOGINLAKE_DEFAULT_FORMAT=sshdd is not .* Use one of login, sshd"):
        DecodeRules.from_settings(load_settings(default_format="sshdd"))


def test_the_default_format_is_a_setting() -> None:
    rules = DecodeRules.from_settings(load_settings(default_format="sshd"))

    assert decoded(a_record(LINE), rules=rules)[0]["format"] == "sshd"


PAST = APPENDED_AT - timedelta(days=3653)
FUTURE = APPENDED_AT + timedelta(hours=24)


@pytest.mark.parametrize(
    ("event_at", "reason"),
    [
        (PAST, None),
        (PAST - MICROSECOND, "implausible_time"),
        (FUTURE, None),
        (FUTURE + MICROSECOND, "implausible_time"),
    ],
)
def test_an_event_is_plausible_up_to_its_bounds_and_not_beyond(event_at: datetime, reason: str | None) -> None:
    assert login_row(a_login(event_at=event_at.isoformat()))["reason"] == reason


def test_the_bounds_are_settings() -> None:
    rules = DecodeRules.from_settings(load_settings(max_event_age_days=1, max_clock_skew_hours=1))
    instants = [APPENDED_AT - timedelta(days=1), APPENDED_AT + timedelta(hours=1)]
    beyond = [instants[0] - MICROSECOND, instants[1] + MICROSECOND]
    records = [a_record(a_login(event_at=at.isoformat())) for at in (*instants, *beyond)]

    assert [row["verdict"] for row in decoded(*records, rules=rules)] == ["accepted"] * 2 + ["broken"] * 2


def test_an_implausible_instant_is_in_the_detail_and_not_in_the_row() -> None:
    row = login_row(a_login(event_at="9999-12-31T23:59:59Z"))

    assert part_of(row, "event_at", "event_id", "event_on") == (None, None, INGESTED_AT.date())
    assert row["detail"] == "9999-12-31T23:59:59+00:00 for a record of 2026-02-01T12:00:00+00:00"


def test_a_record_without_a_timestamp_counts_as_appended_in_1970() -> None:
    assert login_row(a_login(), appended_at=None)["reason"] == "implausible_time"
    assert login_row(a_login(event_at="1970-01-01T00:00:00Z"), appended_at=None)["reason"] is None


def test_the_day_is_the_event_s_in_utc_or_the_ingest_day() -> None:
    assert login_row(a_login(event_at="2026-02-01T00:30:00+01:00"))["event_on"] == date(2026, 1, 31)
    assert login_row(b"{")["event_on"] == INGESTED_AT.date()
    before_1970 = login_row(
        a_login(event_at="1969-12-31T23:59:59.999999Z"), appended_at=datetime(1970, 1, 1, tzinfo=UTC)
    )
    assert before_1970["event_on"] == date(1969, 12, 31)


def test_rows_have_the_order_of_their_records_whatever_their_verdict() -> None:
    records = [
        a_record(value, offset=offset) for offset, value in enumerate([a_login(), b"{", None, a_login(action="x")])
    ]

    assert [part_of(row, "offset", "verdict") for row in decoded(*records)] == [
        (0, "accepted"),
        (1, "broken"),
        (2, "broken"),
        (3, "ignored"),
    ]


def test_enrichment_follows_its_own_row() -> None:
    addresses = ["8.8.8.8", None, "10.0.0.1", "8.8.8.8"]
    rows = decoded(*[a_record(a_login(src_ip=address, user_agent=address and "curl/8.5.0")) for address in addresses])

    assert [part_of(row, "country", "is_private", "agent_family") for row in rows] == [
        ("US", False, "curl"),
        (None, None, None),
        (None, True, "curl"),
        ("US", False, "curl"),
    ]
