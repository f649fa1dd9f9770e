"""The commands, as processes against librdkafka's mock broker."""

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

from tests.producer.conftest import MockKafka
from tests.producer.test_replay import a_line

COMMAND = [sys.executable, "-W", "error", "-m", "producer"]


def environment(mock_kafka: MockKafka) -> dict[str, str]:
    return {**os.environ, "LOGINLAKE_KAFKA": mock_kafka.settings.kafka, "LOGINLAKE_TOPIC": "logs"}


@pytest.fixture
def produce(mock_kafka: MockKafka):
    def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, *words], input=stdin, env=environment(mock_kafka), capture_output=True, timeout=30, check=False
        )

    return run


def test_generate_sends_and_its_last_line_says_where_and_what_was_planted(produce, mock_kafka: MockKafka) -> None:
    ended = produce("generate", "--events", "2000", "--users", "50", "--start", "2026-03-01")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert re.fullmatch(
        rf"2,000 records delivered to topic logs at {mock_kafka.settings.kafka}: "
        r"\d attacks planted \(.*\), \d+ dirty \(.*\)\n",
        ended.stdout.decode(),
    )
    assert len(mock_kafka.messages(2_000)) == 2_000


def test_generate_with_the_same_seed_and_start_writes_the_same_truth(produce, tmp_path: Path) -> None:
    truths = [tmp_path / "one.json", tmp_path / "two.json"]
    for truth in truths:
        produce("generate", "--events", "1000", "--seed", "3", "--start", "2026-03-01", "--truth", str(truth))
    assert truths[0].read_bytes() == truths[1].read_bytes()
    assert msgspec.json.decode(truths[0].read_bytes())["seed"] == 3


def test_generate_with_a_rate_sends_the_same_bytes_from_a_start_on(produce, mock_kafka: MockKafka) -> None:
    for _ in range(2):
        assert produce("generate", "--rate", "500", "--events", "200", "--start", "2026-03-01").returncode == 0
    values = sorted(message.value() or b"" for message in mock_kafka.messages(400))
    assert values[::2] == values[1::2]


def test_every_event_of_the_truth_file_is_in_the_ledger(produce, tmp_path: Path) -> None:
    truth, ledger = tmp_path / "truth.json", tmp_path / "ledger.ndjson"
    produce("generate", "--events", "2000", "--truth", str(truth), "--ledger", str(ledger))
    attacks = msgspec.json.decode(truth.read_bytes())["attacks"]
    acknowledged = {msgspec.json.decode(line)["event_id"] for line in ledger.read_bytes().splitlines()}
    assert len(ledger.read_bytes().splitlines()) == 2_000
    assert attacks
    assert acknowledged.issuperset(event_id for attack in attacks for event_id in attack["event_ids"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_live_stream_which_delivers_and_names_all_it_took(
    mock_kafka: MockKafka, tmp_path: Path, number: signal.Signals
) -> None:
    truth, ledger = tmp_path / "truth.json", tmp_path / "ledger.ndjson"
    words = ["generate", "--rate", "300", "--attacks", "0.5", "--truth", str(truth), "--ledger", str(ledger)]
    process = subprocess.Popen(
        [*COMMAND, *words], env=environment(mock_kafka), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    mock_kafka.messages(150)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    noted = msgspec.json.decode(truth.read_bytes())
    assert (process.returncode, stderr) == (0, b"")
    assert stdout.decode().startswith(f"{noted['counts']['records']:,} records delivered to topic logs")
    acknowledged = [msgspec.json.decode(line)["event_id"] for line in ledger.read_bytes().splitlines()]
    assert len(acknowledged) == noted["counts"]["records"]
    assert set(acknowledged).issuperset(event_id for attack in noted["attacks"] for event_id in attack["event_ids"])


def test_a_second_signal_ends_the_wait_for_a_broker_that_is_gone_and_says_what_was_lost(mock_kafka: MockKafka) -> None:
    process = subprocess.Popen(
        [*COMMAND, "generate", "--rate", "200"],
        env=environment(mock_kafka),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    mock_kafka.messages(50)
    mock_kafka.close()
    time.sleep(0.5)  # a hundred records that nobody takes
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (1, b"")
    assert re.fullmatch(r"\d+ of \d+ records were not delivered to 'logs' at .*\n", stderr.decode())


SMALL_QUEUE = """
from lakehouse.entrypoint import run
from producer import publish
from producer.cli import app
publish.BATCHING["queue.buffering.max.messages"] = 100
run(app)
"""


def test_a_second_signal_ends_the_wait_for_room_in_a_full_queue_and_says_what_was_lost(mock_kafka: MockKafka) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SMALL_QUEUE, "generate", "--events", "9000"],
        env=environment(mock_kafka),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    mock_kafka.messages(50)
    mock_kafka.close()
    time.sleep(1)  # in which the queue fills
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (1, b"")
    assert re.search(r"\d+ of \d+ records were not delivered to 'logs' at .*\n$", stderr.decode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_a_line_that_does_not_come(mock_kafka: MockKafka, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "replay", "-"], env=environment(mock_kafka), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(b"one\n")
    process.stdin.flush()
    mock_kafka.messages(1)
    process.send_signal(number)
    assert process.wait(timeout=30) == 0
    assert process.communicate()[0] == f"1 record delivered to topic logs at {mock_kafka.settings.kafka}\n".encode()


def test_replay_sends_standard_input(produce, mock_kafka: MockKafka) -> None:
    ended = produce("replay", "-", "--format", "login", stdin=b'{"event_id":"e1","username":"ann"}\n{}\n')
    assert (ended.returncode, ended.stdout) == (
        0,
        f"2 records delivered to topic logs at {mock_kafka.settings.kafka}\n".encode(),
    )
    assert sorted((m.key() or b"", m.headers()) for m in mock_kafka.messages(2)) == [
        (b"", [("format", b"login")]),
        (b"ann", [("format", b"login")]),
    ]


def test_replay_sends_a_file_of_sshd_with_its_years(produce, mock_kafka: MockKafka, tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text("\n".join(a_line(stamp) for stamp in ("Dec 31 10:00:00", "Jan  1 10:00:00", "Jan  1 10:00:00")))
    assert produce("replay", str(log), "--format", "sshd", "--year", "2023").returncode == 0
    assert sorted(tuple(message.headers()) for message in mock_kafka.messages(3)) == [
        (("format", b"sshd"), ("year", b"2023"), ("occurrence", b"0")),
        (("format", b"sshd"), ("year", b"2024"), ("occurrence", b"0")),
        (("format", b"sshd"), ("year", b"2024"), ("occurrence", b"1")),
    ]


def test_what_is_not_delivered_is_counted_and_the_exit_code_is_1(produce, tmp_path: Path) -> None:
    log = tmp_path / "large.ndjson"
    log.write_bytes(b"\n".join([b"a", b"x" * 2_000_000, b"b"]))
    ended = produce("replay", str(log))
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"1 of 3 records were not delivered to 'logs'")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate", "--start", "yesterday"], "--start yesterday is no instant. Write it like"),
        (["generate", "--start", "2999-01-01"], "What starts at 2999-01-01 ends in the future. Start earlier"),
        (["generate", "--start", "9999-12-31"], "What starts at 9999-12-31 ends in the future. Start earlier"),
        (["generate", "--truth", "no/such/folder/truth.json"], "truth.json can't be written"),
        (["generate", "--events", "0"], "--events"),
        (["replay", "nowhere.log"], "nowhere.log can't be read"),
        (["replay", "-", "--format", "xml"], "xml"),
    ],
)
def test_wrong_words_are_named_with_exit_code_2(produce, words: list[str], said: str) -> None:
    ended = produce(*words)
    assert ended.returncode == 2
    assert said in ended.stderr.decode()


def test_help_imports_neither_kafka_nor_msgspec() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from producer.cli import app;"
        "answer = CliRunner().invoke(app, ['generate', '--help']); assert '--rate' in answer.output, answer;"
        "print({'confluent_kafka', 'msgspec'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"
