"""Replay of log files, line by line."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from threading import Event, Thread

import pytest

from lakehouse.errors import UsageError
from producer.line_reader import open_log, read_lines
from producer.records import Record
from producer.replay import records_of

FAILED = "sshd[7]: Failed password for root from 192.0.2.7 port 4711 ssh2"


def a_line(stamp: str = "Mar  1 10:00:00", message: str = FAILED) -> str:
    return f"{stamp} host-1 {message}"


@pytest.fixture
def replayed(tmp_path: Path):
    """Return a function from the content of a log file and its modification time to its records."""

    def of(
        content: bytes | list[str], log_format: str = "sshd", *, year: int | None = None, written: str = "2026-06-01"
    ) -> list[Record]:
        path = tmp_path / "auth.log"
        path.write_bytes(content if isinstance(content, bytes) else "".join(f"{line}\n" for line in content).encode())
        at = datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()
        os.utime(path, (at, at))
        with open_log(str(path)) as (source, written_at):
            return list(records_of(source, log_format, year=year, written_at=written_at, stop=Event()))

    return of


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def years(records: list[Record]) -> list[bytes]:
    return [dict(record.headers)["year"] for record in records]


def test_a_login_line_is_sent_unchanged_with_its_format_as_header_and_its_user_as_key(replayed) -> None:
    line = b'{"event_id": "e1",  "username":"ann", "action":"login"}'
    assert replayed(line + b"\n", "login") == [Record(b"ann", line, [("format", b"login")], b"e1")]


@pytest.mark.parametrize(
    "line",
    [b"no json", b'{"event_id":1,"username":"ann"}', b"[]", b"\xff\xfe", b"", b"{}", b'{"x":' * 100_000],
    ids=lambda line: repr(line[:12]),
)
def test_a_line_without_a_user_is_sent_without_a_key(replayed, line: bytes) -> None:
    assert replayed(line + b"\n", "login") == [Record(None, line, [("format", b"login")])]


def test_an_sshd_line_has_the_headers_format_year_and_occurrence(replayed) -> None:
    (record,) = replayed([a_line()], year=2025)
    assert record.headers == [("format", b"sshd"), ("year", b"2025"), ("occurrence", b"0")]
    assert record.value == a_line().encode()


def test_the_occurrence_counts_equal_lines_from_zero(replayed) -> None:
    other = a_line("Mar  1 10:00:01")
    records = replayed([a_line(), other, a_line(), a_line(), other])
    assert [dict(record.headers)["occurrence"] for record in records] == [b"0", b"0", b"1", b"2", b"1"]


def test_lines_that_differ_in_trailing_white_space_are_equal(replayed) -> None:
    records = replayed([a_line(), f"{a_line()} "])
    assert [dict(record.headers)["occurrence"] for record in records] == [b"0", b"1"]


def test_replaying_a_file_again_sends_the_same_records(replayed) -> None:
    content = [a_line(), a_line(), a_line("Mar  2 10:00:00")]
    assert replayed(content) == replayed(content)


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (FAILED, b"root"),
        ("sshd[7]: Failed password for invalid user admin from 192.0.2.7 port 4711 ssh2", b"admin"),
        ("sshd[7]: Accepted publickey for ubuntu from 192.0.2.7 port 4711 ssh2: RSA SHA256:x", b"ubuntu"),
        ("sshd[7]: Invalid user admin from 192.0.2.7", b"admin"),
        ("sshd[7]: pam_unix(sshd:session): session closed for user ubuntu", b"ubuntu"),
        ("sshd[7]: message repeated 5 times: [ Failed password for root from 192.0.2.7 port 4 ssh2]", b"root"),
        ("sshd[7]: Server listening on 0.0.0.0 port 22.", None),
    ],
)
def test_an_sshd_line_is_keyed_by_the_user_it_names(replayed, message: str, key: bytes | None) -> None:
    assert [record.key for record in replayed([a_line(message=message)])] == [key]


def test_the_year_increases_at_each_new_year(replayed) -> None:
    stamps = ["Nov 30 10:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "Oct 11 00:00:00", "Jan  3 00:00:00"]
    records = replayed([a_line(stamp) for stamp in stamps], year=2023)
    assert years(records) == [b"2023", b"2023", b"2024", b"2024", b"2025"]


def test_unordered_lines_around_midnight_are_not_a_new_year(replayed) -> None:
    stamps = ["Jan 31 23:59:59", "Feb  1 00:00:00", "Jan 31 23:59:59", "Feb  1 00:00:01"]
    assert years(replayed([a_line(stamp) for stamp in stamps], year=2023)) == [b"2023"] * 4


@pytest.mark.parametrize(
    "stamps",
    [
        ["Feb 21 12:00:00", "Jan 11 00:00:01", "Feb 21 12:00:01", "Jan 11 00:10:01", "Feb 21 12:10:02"],
        ["Feb  2 10:00:00", "Jan 30 09:00:00", "Feb  2 10:01:00"],
        ["Jun 14 08:00:00", "Jan  1 00:00:12", "Jun 14 08:01:00"],
    ],
    ids=["a clock that is set back", "a backlog on a central server", "a board without a clock"],
)
def test_a_step_back_of_less_than_half_a_year_is_no_new_year(replayed, stamps: list[str]) -> None:
    assert years(replayed([a_line(stamp) for stamp in stamps], written="2026-06-20")) == [b"2026"] * len(stamps)


def test_a_file_that_grew_gives_its_old_lines_the_same_headers(replayed) -> None:
    lines = [a_line(stamp) for stamp in ("Feb 21 12:00:00", "Jan 11 00:00:01", "Feb 21 12:00:01")]
    added = [a_line(stamp) for stamp in ("Jan 11 00:10:01", "Feb 21 12:10:02")]

    first = replayed(lines, written="2026-02-21T12:00:02")

    assert replayed([*lines, *added], written="2026-02-21T12:10:03")[:3] == first


@pytest.mark.parametrize("log_format", ["login", "sshd"])
def test_a_byte_order_mark_at_the_start_of_a_file_is_dropped(replayed, log_format: str) -> None:
    records = replayed(b"\xef\xbb\xbf" + a_line().encode() + b"\n", log_format)
    assert [record.value for record in records] == [a_line().encode()]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (
            ["Dec 31 23:59:58", "Jan  1 00:00:00", "Dec 31 23:59:59", "Jan  1 00:00:01", "Jan  5 00:00:00"],
            [b"2025", b"2026", b"2025", b"2026", b"2026"],
        ),
        (["Jan  1 00:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00"], [b"2025", b"2024", b"2025"]),
        (["Jan  2 00:00:00", "Dec 31 23:59:59"], [b"2025", b"2025"]),
    ],
)
def test_unordered_lines_around_new_year_have_their_own_years(
    replayed, stamps: list[str], expected: list[bytes]
) -> None:
    assert years(replayed([a_line(stamp) for stamp in stamps], year=2025)) == expected


def test_lines_without_a_timestamp_have_the_year_of_the_line_before(replayed) -> None:
    content = [a_line("Dec 31 10:00:00"), "no stamp", "", a_line("Jan  1 10:00:00"), "Feb 31 25:00:00 x y: z"]
    assert years(replayed(content, year=2023)) == [b"2023", b"2023", b"2023", b"2024", b"2024"]


@pytest.mark.parametrize(
    ("stamps", "written", "expected"),
    [
        (["Mar  1 10:00:00"], "2026-03-01T10:00:00", [b"2026"]),
        (["Mar  1 10:00:01"], "2026-03-01T10:00:00", [b"2025"]),
        (["Dec 31 23:59:59", "Jan  1 00:00:00"], "2026-01-02", [b"2025", b"2026"]),
        (["Dec 31 23:59:59", "Jan  1 00:00:00", "Dec 31 23:00:00"], "2026-01-02", [b"2025", b"2026", b"2025"]),
        (["Feb 29 10:00:00"], "2026-06-01", [b"2024"]),
        (["Feb 28 10:00:00"], "2024-02-29", [b"2024"]),
        (["Jun  2 10:00:00", "nothing"], "2026-06-01", [b"2025", b"2025"]),
    ],
)
def test_by_default_the_last_line_is_at_or_before_the_modification_time_of_the_file(
    replayed, zone: pytest.MonkeyPatch, stamps: list[str], written: str, expected: list[bytes]
) -> None:
    zone.setenv("TZ", "UTC")
    time.tzset()
    content = [a_line(stamp) if stamp != "nothing" else stamp for stamp in stamps]
    assert years(replayed(content, written=written)) == expected


def test_timestamps_are_local_time_when_compared_with_the_modification_time(replayed, zone: pytest.MonkeyPatch) -> None:
    zone.setenv("TZ", "UTC-5")  # five hours east of Greenwich
    time.tzset()
    assert years(replayed([a_line("Mar  1 15:00:00")], written="2026-03-01T10:00:00")) == [b"2026"]


def test_a_last_line_without_a_line_feed_is_sent(replayed) -> None:
    assert [record.value for record in replayed(b"one\ntwo", "login")] == [b"one", b"two"]


def test_carriage_returns_at_line_ends_are_removed(replayed) -> None:
    assert [record.value for record in replayed(b"o\rne\r\ntwo\r\n\r\nend\r", "login")] == [
        b"o\rne",
        b"two",
        b"",
        b"end",
    ]


def test_bytes_that_are_not_utf_8_are_sent_unchanged(replayed) -> None:
    line = a_line().encode().replace(b"root", b"r\xf6\xff\x00t")
    (record,) = replayed(line + b"\n")
    assert (record.value, record.key) == (line, b"r\xf6\xff\x00t")


def test_an_empty_file_has_no_records(replayed) -> None:
    assert replayed(b"") == []


def test_lines_longer_than_a_chunk_are_sent_whole(replayed) -> None:
    content = [b"a" * 3_000_000, b"b" * 10, b"c" * 1_048_576]
    assert [record.value for record in replayed(b"\n".join(content), "login")] == content


def test_a_pipe_is_copied_to_find_its_year() -> None:
    with a_pipe(b"\n".join(a_line(stamp).encode() for stamp in ("Dec 31 10:00:00", "Jan  1 10:00:00"))) as source:
        written_at = datetime(2026, 3, 1, tzinfo=UTC)
        records = list(records_of(source, "sshd", year=None, written_at=written_at, stop=Event()))
    assert years(records) == [b"2025", b"2026"]


def test_stop_ends_the_wait_for_a_line_and_an_incomplete_line_is_not_sent() -> None:
    reading, writing = os.pipe()
    stop, received = Event(), []
    with FileIO(reading) as source, FileIO(writing, "w") as sink:
        sink.write(b"one\nhal")

        def read() -> None:
            for line in read_lines(source, stop):
                received.append(line)
                stop.set()

        reader = Thread(target=read)
        reader.start()
        reader.join(10)
        assert not reader.is_alive()
    assert received == [b"one"]


def test_a_missing_file_is_named() -> None:
    with (
        pytest.raises(UsageError, match=r"nowhere\.log can't be read .* Use the path of a log file"),
        open_log("nowhere.log"),
    ):
        pass


def a_pipe(content: bytes):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return FileIO(reading)
