"""`loginlake produce` against the mock broker of librdkafka: in this process, or as a process where signals end it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from producer.cli import LogFormat
from producer.records import FORMATS
from tests.loginlake.command_line import Ended, Loginlake
from tests.producer.conftest import MockKafka
from tests.producer.test_replay import a_line

COMMAND = [sys.executable, "-W", "error", "-m", "producer"]
# Its time is written in a way that no syslog daemon uses.
UNTIMED_LINE = "Jan 31 8.00 host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2"
# The same command with a queue that is full after 100 records.
COMMAND_WITH_SMALL_QUEUE = """
from lakehouse.entrypoint import run
from producer import publish
from producer.cli import app
publish.BATCHING["queue.buffering.max.messages"] = 100
run(app)
"""


def test_the_formats_of_the_options_are_those_of_the_records() -> None:
    assert {each.value for each in LogFormat} == set(FORMATS)


@pytest.fixture
def produce(mock_kafka: MockKafka, tmp_path: Path):
    loginlake = Loginlake(tmp_path, {"LOGINLAKE_KAFKA": mock_kafka.settings.kafka, "LOGINLAKE_TOPIC": "logs"})

    def run(*arguments: str) -> Ended:
        return loginlake("produce", *arguments)

    return run


def start(mock_kafka: MockKafka, *arguments: str, command: list[str] = COMMAND) -> subprocess.Popen[bytes]:
    """Start `python -m producer` as a process."""
    return subprocess.Popen(
        [*command, *arguments],
        env={**os.environ, "LOGINLAKE_KAFKA": mock_kafka.settings.kafka, "LOGINLAKE_TOPIC": "logs"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_generate_sends_records_and_prints_a_summary(produce, mock_kafka: MockKafka) -> None:
    ended = produce("generate", "--events", "2000", "--users", "50", "--start", "2026-03-01")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(
        rf"2,000 records delivered to topic logs at {mock_kafka.settings.kafka}: "
        r"\d planted attacks \(.*\), \d+ noise records \(.*\)\n",
        ended.stdout,
    )
    assert len(mock_kafka.messages(2_000)) == 2_000


def test_messages_are_broken_between_words_on_a_terminal(mock_kafka: MockKafka, tmp_path: Path) -> None:
    produce = Loginlake(tmp_path, {"LOGINLAKE_KAFKA": mock_kafka.settings.kafka}).on_a_terminal(columns=80)

    lines = produce("produce", "generate", "--events", "2000", "--users", "50").stdout.splitlines()

    assert len(lines) > 1
    assert max(map(len, lines)) <= 80


def test_generate_with_the_same_seed_and_start_writes_the_same_truth_file(produce, tmp_path: Path) -> None:
    truths = [tmp_path / "one.json", tmp_path / "two.json"]
    for truth in truths:
        produce("generate", "--events", "1000", "--seed", "3", "--start", "2026-03-01", "--truth", str(truth))
    assert truths[0].read_bytes() == truths[1].read_bytes()
    assert msgspec.json.decode(truths[0].read_bytes())["seed"] == 3


def test_generate_with_a_rate_and_a_start_sends_the_same_bytes(produce, mock_kafka: MockKafka) -> None:
    for _ in range(2):
        assert produce("generate", "--rate", "500", "--events", "200", "--start", "2026-03-01").returncode == 0
    values = sorted(message.value() or b"" for message in mock_kafka.messages(400))
    assert values[::2] == values[1::2]


def test_every_event_of_the_truth_file_is_in_the_ledger(produce, tmp_path: Path) -> None:
    truth, ledger = tmp_path / "truth.json", tmp_path / "ledger.ndjson"
    produce("generate", "--events", "2000", "--truth", str(truth), "--ledger", str(ledger))
    attacks = msgspec.json.decode(truth.read_bytes())["attacks"]
    acknowledged = [msgspec.json.decode(line)["event_id"] for line in ledger.read_bytes().splitlines()]
    assert len(acknowledged) == 2_000
    assert attacks
    assert set(acknowledged).issuperset(event_id for attack in attacks for event_id in attack["event_ids"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_live_stream_after_all_its_records_are_delivered(
    mock_kafka: MockKafka, tmp_path: Path, number: signal.Signals
) -> None:
    truth, ledger = tmp_path / "truth.json", tmp_path / "ledger.ndjson"
    process = start(
        mock_kafka, *("generate", "--rate", "300", "--attacks", "0.5"), "--truth", str(truth), "--ledger", str(ledger)
    )
    mock_kafka.messages(150)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    planted = msgspec.json.decode(truth.read_bytes())
    assert (process.returncode, stderr) == (0, b"")
    assert stdout.decode().startswith(f"{planted['counts']['records']:,} records delivered to topic logs")
    acknowledged = [msgspec.json.decode(line)["event_id"] for line in ledger.read_bytes().splitlines()]
    assert len(acknowledged) == planted["counts"]["records"]
    assert set(acknowledged).issuperset(event_id for attack in planted["attacks"] for event_id in attack["event_ids"])


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        pytest.param(COMMAND, ["generate", "--rate", "200"], id="for an unreachable broker"),
        pytest.param(
            [sys.executable, "-c", COMMAND_WITH_SMALL_QUEUE],
            ["generate", "--events", "9000"],
            id="for room in a full queue",
        ),
    ],
)
def test_a_second_signal_ends_the_wait_and_the_lost_records_are_counted(
    mock_kafka: MockKafka, command: list[str], arguments: list[str]
) -> None:
    process = start(mock_kafka, *arguments, command=command)
    mock_kafka.messages(50)
    mock_kafka.close()
    time.sleep(0.5)  # in which records are queued that nobody acknowledges
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (1, b"")
    assert re.search(r"\d+ of \d+ records were not delivered to 'logs' at .*\n$", stderr.decode())


def test_a_signal_ends_the_wait_for_the_next_line_of_standard_input(mock_kafka: MockKafka) -> None:
    process = start(mock_kafka, "replay", "-", "--format", "login")
    assert process.stdin is not None
    process.stdin.write(b"one\n")
    process.stdin.flush()
    mock_kafka.messages(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert process.communicate()[0] == f"1 record delivered to topic logs at {mock_kafka.settings.kafka}\n".encode()


def test_replay_sends_standard_input(
    produce, mock_kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "app.ndjson"
    log.write_bytes(b'{"event_id":"e1","username":"ann"}\n{}\n')
    with log.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        ended = produce("replay", "-", "--format", "login")
    assert (ended.returncode, ended.stdout) == (
        0,
        f"2 records delivered to topic logs at {mock_kafka.settings.kafka}\n",
    )
    assert sorted((m.key() or b"", m.headers()) for m in mock_kafka.messages(2)) == [
        (b"", [("format", b"login")]),
        (b"ann", [("format", b"login")]),
    ]


@pytest.mark.parametrize(
    ("log_format", "line", "is_warned"),
    [
        ("login", "root:x:0:0:root:/root:/bin/bash", True),
        ("sshd", "root:x:0:0:root:/root:/bin/bash", True),
        ("sshd", "Nov 31 10:00:00 host sshd[1]: Connection closed", True),
        ("sshd", "Nov 30 25:00:00 host sshd[1]: Connection closed", True),
        ("sshd", "2026-13-01T10:00:00Z host sshd[1]: Connection closed", True),
        ("login", '{"event_id": "e1"}', False),
        ("sshd", "Jan  1 10:00:00 host cron[1]: started", False),
        ("sshd", "2026-01-01T10:00:00.5+00:00 host sshd[1]: Connection closed", False),
        ("sshd", "Jan  1 2026 10:00:00 host sshd[1]: Connection closed", False),
        ("sshd", "<38> Jan  1 10:00:00 host sshd[1]: Connection closed", False),
        ("sshd", "Thu 2026-01-01 10:00:00 UTC host sshd[1]: Connection closed", False),
        ("sshd", "2026-01-01t10:00:00z host sshd[1]: Connection closed", False),
        ("sshd", "<38>1 2026-01-01T10:00:00Z host sshd 1 - - Connection closed", False),
        ("sshd", "Feb 29 10:00:00 host sshd[1]: Connection closed", False),
    ],
)
def test_replay_warns_if_no_line_looks_like_the_format(
    produce, mock_kafka: MockKafka, tmp_path: Path, *, log_format: str, line: str, is_warned: bool
) -> None:
    log = tmp_path / "file"
    log.write_text(f"{line}\n" * 2)

    ended = produce("replay", str(log), "--format", log_format)

    assert ended.returncode == 0
    assert len(mock_kafka.messages(2)) == 2
    assert (f"None of the first 2 lines of {log} looks like the format {log_format}" in ended.stderr) is is_warned


@pytest.mark.parametrize(
    "program", ["sshd[1]", "sshd-auth[1]", "sshd-session[1]", "[sshd]", "sshd(pam_unix)[1]", "sshd"]
)
def test_replay_of_lines_of_sshd_without_a_time_says_how_a_line_begins(
    produce, mock_kafka: MockKafka, tmp_path: Path, program: str
) -> None:
    log = tmp_path / "auth.log"
    log.write_text(UNTIMED_LINE.replace("sshd[1]", program) + f"\n{UNTIMED_LINE}\nroot:x:0:0\n")

    ended = produce("replay", str(log), "--format", "sshd")

    assert len(mock_kafka.messages(3)) == 3
    assert "None of the first 3 lines" in ended.stderr
    assert "A line of sshd begins with a time such as Jan 31 08:00:00" in ended.stderr
    assert "--format login" not in ended.stderr


def test_replay_of_one_line_of_another_format_warns_about_that_line(
    produce, mock_kafka: MockKafka, tmp_path: Path
) -> None:
    log = tmp_path / "file"
    log.write_text("not a login\n")

    ended = produce("replay", str(log), "--format", "login")

    assert len(mock_kafka.messages(1)) == 1
    assert "The line does not look like the format login" in ended.stderr


@pytest.mark.parametrize(
    ("lines", "complaint", "hint"),
    [
        ([a_line()], "The line does not look like the format login", "--format sshd"),
        ([a_line()] * 300, "The first 100 lines do not look like", "--format sshd"),
        (["root:x:0:0"] * 2, "The first 2 lines do not look like", "--format login sends such lines all the same"),
        ([UNTIMED_LINE], "The line does not look like the format login", "begins with a time such as Jan 31 08:00:00"),
    ],
)
@pytest.mark.parametrize("is_piped", [False, True])
def test_replay_without_a_format_sends_nothing_if_no_line_looks_like_a_login(
    mock_kafka: MockKafka, tmp_path: Path, *, lines: list[str], complaint: str, hint: str, is_piped: bool
) -> None:
    log = tmp_path / "file"
    log.write_text("\n".join(lines))

    process = start(mock_kafka, "replay", "-" if is_piped else str(log))
    stdout, stderr = process.communicate(log.read_bytes(), timeout=60)

    assert (process.returncode, stdout) == (2, b"")
    assert complaint in stderr.decode()
    assert hint in stderr.decode()
    assert mock_kafka.count() == 0


def test_replay_without_a_format_sends_all_lines_once_one_looks_like_a_login(
    produce, mock_kafka: MockKafka, tmp_path: Path
) -> None:
    log = tmp_path / "app.ndjson"
    log.write_text('starting\n{"event_id": "e1"}\nstopping\n')

    assert produce("replay", str(log)).returncode == 0
    assert {message.value() for message in mock_kafka.messages(3)} == set(log.read_bytes().splitlines())


def test_replay_sends_an_sshd_log_with_the_year_of_each_line(produce, mock_kafka: MockKafka, tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text("\n".join(a_line(stamp) for stamp in ("Dec 31 10:00:00", "Jan  1 10:00:00", "Jan  1 10:00:00")))
    assert produce("replay", str(log), "--format", "sshd", "--year", "2023").returncode == 0
    assert sorted(tuple(message.headers()) for message in mock_kafka.messages(3)) == [
        (("format", b"sshd"), ("year", b"2023"), ("occurrence", b"0")),
        (("format", b"sshd"), ("year", b"2024"), ("occurrence", b"0")),
        (("format", b"sshd"), ("year", b"2024"), ("occurrence", b"1")),
    ]


def test_undelivered_records_are_counted_and_the_exit_code_is_1(produce, tmp_path: Path) -> None:
    log = tmp_path / "large.ndjson"
    log.write_bytes(b"\n".join([b"a", b"x" * 2_000_000, b"b"]))
    ended = produce("replay", str(log), "--format", "login")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("1 of 3 records were not delivered to 'logs'")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--start", "yesterday"], "--start yesterday is not an instant. Use the form"),
        (["generate", "--start", "2999-01-01"], "A batch from --start 2999-01-01 ends in the future. Use an earlier"),
        (["generate", "--start", "9999-12-31"], "A batch from --start 9999-12-31 ends in the future. Use an earlier"),
        (["generate", "--truth", "no/such/folder/truth.json"], "truth.json can't be written"),
        (["generate", "--events", "0"], "--events"),
        (["replay", "nowhere.log"], "nowhere.log can't be read"),
        (["replay", "-", "--format", "xml"], "xml"),
    ],
)
def test_wrong_arguments_are_named_with_exit_code_2(produce, arguments: list[str], message: str) -> None:
    ended = produce(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_help_imports_neither_the_kafka_client_nor_the_generator() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from producer.cli import app;"
        "answer = CliRunner().invoke(app, ['generate', '--help']); assert '--rate' in answer.output, answer;"
        "print({'confluent_kafka', 'producer.generate', 'producer.publish'} & set(sys.modules))"
    )
    imported = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert imported.stdout == "set()\n"
