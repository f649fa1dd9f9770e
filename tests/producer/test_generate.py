"""Records generated from a seed, a start and a few rates."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import jsonschema
import msgspec
import pytest

from producer.events import DAY_SECONDS, SECOND, instant_of
from producer.generate import Plan, Stream, batch, live
from producer.records import Record
from silver.formats import login, record, sshd

START = 1_772_323_200 * SECOND  # 2026-03-01
END = START + 7 * DAY_SECONDS * SECOND
LOGIN_SCHEMA = jsonschema.Draft202012Validator(msgspec.json.schema(login.Login))


def a_plan(**changes: Any) -> Plan:
    return Plan(**{"seed": 7, "start": START, "users": 200, **changes})


def a_batch(events: int = 20_000, **changes: Any) -> tuple[Stream, list[Record]]:
    stream = batch(a_plan(**changes), events=events, end=END)
    return stream, list(stream)


def sent(records: list[Record]) -> list[tuple[object, ...]]:
    return [(made.key, made.value, made.headers) for made in records]


def decoded(made: Record, decode: Callable[[record.Record], record.Decoded] = login.decode) -> record.Decoded:
    headers = dict(made.headers)
    year, occurrence = headers.get("year"), headers.get("occurrence")
    return decode(record.Record(made.value or b" ", "logs", 0, 0, END * 1000, END * 1000, year, occurrence))


@pytest.mark.parametrize("log_format", ["login", "sshd"])
def test_the_same_seed_and_start_give_the_same_bytes(log_format: str) -> None:
    _, once = a_batch(5_000, format=log_format)
    _, again = a_batch(5_000, format=log_format)
    assert sent(once) == sent(again)


def test_another_process_generates_the_same_bytes() -> None:
    script = (
        "import hashlib; from producer.generate import Plan, batch;"
        f"records = batch(Plan(7, {START}, users=200), events=2000, end={END});"
        "print(hashlib.sha256(b''.join(made.value or b'' for made in records)).hexdigest())"
    )
    digests = {subprocess.check_output([sys.executable, "-c", script]) for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize("changes", [{"seed": 8}, {"start": START + 1}])
def test_another_seed_or_start_generates_other_events(changes: dict[str, int]) -> None:
    ids = {made.event_id for made in a_batch(2_000)[1]} - {None}
    others = {made.event_id for made in a_batch(2_000, **changes)[1]} - {None}
    assert ids.isdisjoint(others)


def test_a_live_stream_of_a_seed_and_start_has_the_same_bytes() -> None:
    once, again = (list(islice(live(a_plan(), rate=50.0), 3_000)) for _ in range(2))
    assert sent(once) == sent(again)


def test_a_live_stream_keeps_its_rate() -> None:
    records = list(islice(live(a_plan(), rate=50.0), 30_000))
    seconds = (records[-1].at - START) / SECOND
    assert 30_000 / seconds == pytest.approx(50.0, rel=0.1)


def test_a_batch_has_exactly_the_requested_number_of_records_within_its_days() -> None:
    _, records = a_batch(12_345)
    instants = [made.at for made in records]
    assert len(records) == 12_345
    assert min(instants) >= START
    assert max(instants) < END


def test_every_record_is_keyed_by_its_user() -> None:
    _, records = a_batch(5_000)
    keys_and_users = [(made.key, msgspec.json.decode(made.value)["username"]) for made in records if made.event_id]
    assert [key.decode() for key, _ in keys_and_users if key] == [username for _, username in keys_and_users]


def test_every_record_that_is_not_noise_is_valid_against_the_json_schema() -> None:
    _, records = a_batch(5_000)
    events = [msgspec.json.decode(made.value) for made in records if made.event_id and made.value]
    assert len(events) > 4_800
    for event in events:
        LOGIN_SCHEMA.validate(event)
    assert {datetime.fromisoformat(event["event_at"]).tzinfo for event in events} == {UTC}


def test_every_record_that_is_not_noise_is_accepted_by_silver() -> None:
    stream, records = a_batch(5_000)
    verdicts = Counter(decoded(made).verdict for made in records if made.event_id)
    assert set(verdicts) == {"accepted"}
    assert stream.truth.counts["broken"] + stream.truth.counts["foreign"] == sum(not made.event_id for made in records)


def test_silver_finds_broken_records_broken_and_ignores_foreign_ones() -> None:
    stream, records = a_batch(noise=0.2)
    far_future = [made for made in records if made.value and b"9999-01-01" in made.value]
    verdicts = Counter(decoded(made).verdict for made in records if not made.event_id)
    assert verdicts["ignored"] == stream.truth.counts["foreign"]
    # Implausible instants are found by the silver job, not by the decoder.
    assert verdicts["broken"] + len(far_future) == stream.truth.counts["broken"]


def test_noise_has_about_the_requested_share_and_all_kinds_are_equally_frequent() -> None:
    counts = a_batch(20_000, noise=0.2)[0].truth.counts
    expected = 20_000 * 0.92 * 0.2 / 4
    assert {kind: counts[kind] for kind in ("duplicate", "late", "broken", "foreign")} == {
        kind: pytest.approx(expected, rel=0.15) for kind in ("duplicate", "late", "broken", "foreign")
    }


def test_a_plan_without_noise_attacks_and_look_alikes_generates_none() -> None:
    stream, records = a_batch(2_000, noise=0.0, attacks=0.0, look_alikes=0.0)
    assert (stream.truth.background, dict(stream.truth.counts), stream.truth.attacks) == (2_000, {}, {})
    assert len({made.event_id for made in records}) == 2_000


def test_a_duplicate_equals_an_earlier_record() -> None:
    stream, records = a_batch(noise=0.2)
    by_id: dict[bytes, set[tuple[object, ...]]] = {}
    for made in records:
        if made.event_id:
            by_id.setdefault(made.event_id, set()).add((made.key, made.value))
    copies = sum(made.event_id is not None for made in records) - len(by_id)
    assert copies == stream.truth.counts["duplicate"]
    assert {len(versions) for versions in by_id.values()} == {1}


def test_a_late_event_happened_an_hour_to_three_days_before_it_is_sent() -> None:
    stream, records = a_batch(noise=0.2)
    behind = [made.at * 1000 - at for made in records if made.event_id and (at := decoded(made).event_at) is not None]
    late = [micros for micros in behind if micros]
    # A late record may also be duplicated.
    assert len(late) >= stream.truth.counts["late"]
    assert min(late) >= 3_600_000_000
    assert max(late) <= 3 * DAY_SECONDS * 1_000_000


def test_users_are_active_by_day_and_less_at_the_weekend() -> None:
    _, records = a_batch(20_000, attacks=0.0)
    days = Counter(instant_of(made.at).strftime("%a") for made in records)
    europeans_by_hour = Counter(
        instant_of(made.at).hour for made in records if made.value and b'"src_ip":"84.128.' in made.value
    )
    assert days["Sun"] * 2 < days["Wed"]
    assert europeans_by_hour[3] * 3 < europeans_by_hour[10]


def test_sshd_records_have_the_same_events_keys_and_instants_as_login_records() -> None:
    _, logins = a_batch(5_000, noise=0.1)
    _, lines = a_batch(5_000, noise=0.1, format="sshd")
    assert [(made.event_id is None, made.key, made.at) for made in logins] == [
        (made.event_id is None, made.key, made.at) for made in lines
    ]


@pytest.mark.parametrize(("log_format", "decode"), [("login", login.decode), ("sshd", sshd.decode)])
def test_an_event_has_the_id_that_silver_assigns(
    log_format: str, decode: Callable[[record.Record], record.Decoded]
) -> None:
    stream, records = a_batch(3_000, format=log_format)
    ids = {made.event_id.decode() for made in records if made.event_id}

    assert ids == {decoded(made, decode).event_id for made in records if made.event_id}
    assert ids.issuperset(
        event_id for attack in json.loads(stream.truth.to_json())["attacks"] for event_id in attack["event_ids"]
    )


OPENSSH = re.compile(
    rb"(?:Jan|Feb|Mar) [ \d]\d \d\d:\d\d:\d\d [\w-]+ sshd\[\d+\]: (?:"
    rb"Accepted (?:password|publickey) for [\w-]+ from [\d.]+ port \d+ ssh2"
    rb"|Failed (?:password|publickey) for (?:invalid user )?[\w-]+ from [\d.]+ port \d+ ssh2"
    rb"|error: maximum authentication attempts exceeded for \w+ from [\d.]+ port \d+ ssh2 \[preauth\]"
    rb"|pam_unix\(sshd:session\): session closed for user \w+)"
)


def test_sshd_lines_have_the_form_of_openssh() -> None:
    _, records = a_batch(5_000, format="sshd")
    lines = [made.value for made in records if made.event_id and made.value]
    assert [line for line in lines if not OPENSSH.fullmatch(line)] == []
    assert b"Mar  1 " in {line[:7] for line in lines}


def test_an_sshd_line_decodes_to_the_same_event_as_the_login_record() -> None:
    _, logins = a_batch(5_000)
    _, lines = a_batch(5_000, format="sshd")
    pairs = [
        (decoded(made), decoded(line, sshd.decode)) for made, line in zip(logins, lines, strict=True) if made.event_id
    ]
    assert len(pairs) > 4_800
    for event, line in pairs:
        assert line.event_at == event.event_at // 1_000_000 * 1_000_000
        assert (line.verdict, line.action, line.outcome, line.username) == (
            "accepted",
            event.action,
            event.outcome,
            event.username,
        )


def test_sshd_records_have_the_headers_format_year_and_occurrence() -> None:
    _, records = a_batch(500, format="sshd", attacks=0.0, look_alikes=0.0, noise=0.0)
    assert {tuple(made.headers) for made in records} == {(("format", b"sshd"), ("year", b"2026"), ("occurrence", b"0"))}
