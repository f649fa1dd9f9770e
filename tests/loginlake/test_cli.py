"""The command `loginlake`: what it loads, how it ends, what its help says."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from lakehouse.errors import LakehouseError, PortTaken, UsageError
from lakehouse.settings import Settings
from loginlake.cli import app, seconds
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.serving.lakes import publish_twice, settings_of

HEAVY = ("polars", "deltalake", "confluent_kafka", "pyspark", "pandas", "fastapi")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture
def root(tmp_path: Path) -> str:
    settings = settings_of(tmp_path)
    publish_twice(settings)
    return settings.root


def test_help_and_version_import_nothing_heavy() -> None:
    script = f"""
import sys
from typer.testing import CliRunner
from loginlake.cli import app
for words in {[["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]!r}:
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    if len(words) == 1:
        assert "pydantic_settings" not in sys.modules
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package(loginlake: Loginlake) -> None:
    assert re.fullmatch(r"loginlake \d+\.\d+\.\d+\n", loginlake("--version").stdout)


def test_all_verbs_are_there() -> None:
    read = {"tables", "history", "query", "sql", "verify", "doctor"}
    run = {"demo", "up", "broker", "produce", "bronze", "silver", "gold", "refresh", "serve", "jars"}
    repair = {"maintain", "rebuild", "redrive"}

    assert set(COMMANDS) == read | run | repair


@pytest.mark.parametrize("verb", sorted(set(COMMANDS) - {"produce"}))
def test_the_help_of_every_verb_has_an_example_of_it(verb: str) -> None:
    assert COMMANDS[verb].epilog.startswith(f"For example: loginlake {verb}")


def test_no_verb_has_a_flag_of_its_own_that_is_a_setting() -> None:
    """Such a flag would be taken away before the verb sees it; those of produce say the same as the setting."""
    settings = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    flags = {
        flag for name, verb in COMMANDS.items() if name != "produce" for option in verb.params for flag in option.opts
    }

    assert flags & settings == set()


@pytest.mark.parametrize("words", [["vrify"], ["verify", "--nothing"], ["history"], ["refresh", "--every", "soon"]])
def test_wrong_words_exit_2(loginlake: Loginlake, words: list[str]) -> None:
    assert loginlake(*words).returncode == 2


def test_a_wrong_setting_is_one_line_that_names_it(loginlake: Loginlake) -> None:
    ended = loginlake("verify", "--port", "many")

    assert ended.returncode == UsageError.exit_code
    assert ended.stderr.count("\n") == 1
    assert "LOGINLAKE_PORT" in ended.stderr


def test_no_lake_is_one_line(loginlake: Loginlake, tmp_path: Path) -> None:
    ended = loginlake("verify", "--root", str(tmp_path / "nowhere"))

    assert ended.returncode == LakehouseError.exit_code
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_a_reader_that_goes_away_is_not_complained_about(loginlake_process: LoginlakeProcess, root: str) -> None:
    writer = loginlake_process.start(
        "sql", "select * from events", "--root", root, "--format", "ndjson", stdout=subprocess.PIPE
    )
    writer.stdout.close()
    _, errors = writer.communicate(timeout=60)

    assert errors == b""


@pytest.mark.parametrize(("text", "expected"), [("15s", 15), ("1m", 60), ("2h", 7200)])
def test_a_duration_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "15", "1d", "-1m", "1.5h", "15 s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="such as 15s, 1m or 1h"):
        seconds(text)


def test_verify_says_ok_and_counts_the_layers(loginlake: Loginlake, root: str) -> None:
    ended = loginlake("verify", "--root", root, "--kafka", "127.0.0.1:1")

    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1] == "verify: ok"
    assert re.search(r"silver accepted +8\b", ended.stdout)
    assert "no broker answers at 127.0.0.1:1" in ended.stdout


def test_verify_exits_3_and_names_what_is_missing(loginlake: Loginlake, root: str) -> None:
    from deltalake import DeltaTable

    DeltaTable(f"{root}/silver/events").delete("offset = 1")

    ended = loginlake("verify", "--root", root, "--kafka", "127.0.0.1:1")

    assert ended.returncode == 3
    assert "logs:0:1 missing" in ended.stdout
    assert re.fullmatch(r"verify: \d+ of \d+ checks failed", ended.stdout.splitlines()[-1])


def test_a_taken_port_of_the_broker_is_one_line_that_names_the_mend(
    loginlake: Loginlake, taken_port: int, tmp_path: Path
) -> None:
    ended = loginlake("broker", "--kafka", f"127.0.0.1:{taken_port}", "--state", str(tmp_path))

    assert ended.returncode == PortTaken.exit_code
    assert ended.stderr.count("\n") == 1
    assert "run `loginlake broker --kafka 127.0.0.1:9192`" in ended.stderr


@pytest.mark.flow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_broker_runs_until_a_signal_and_doctor_sees_it(
    loginlake_process: LoginlakeProcess, free_port: int, tmp_path: Path, number: signal.Signals
) -> None:
    where = ["--kafka", f"127.0.0.1:{free_port}", "--state", str(tmp_path)]
    broker = loginlake_process.start("broker", *where, stderr=subprocess.PIPE)
    try:
        while b"Kafka listens on" not in (line := broker.stderr.readline()):
            assert line, "the broker ended"
        findings = json.loads(loginlake_process("doctor", *where, "--json").stdout)
    finally:
        broker.send_signal(number)
        _, errors = broker.communicate(timeout=60)

    assert broker.returncode == 0, errors
    (kafka,) = [finding for finding in findings if finding["check"] == "kafka"]
    assert kafka["what"] == f"a broker answers at 127.0.0.1:{free_port}"
    with socket.create_server(("127.0.0.1", free_port)):
        pass


JOBS = [["bronze", "--once"], ["silver"], ["gold"], ["refresh"], ["broker"]]


@pytest.mark.parametrize("words", JOBS, ids=" ".join)
def test_without_java_a_job_is_one_line_that_names_the_mend(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    ended = loginlake.with_path(tmp_path / "empty")(
        *words, "--kafka", f"127.0.0.1:{free_port}", "--state", str(tmp_path)
    )

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "There is no Java. Install Java 17 or 21" in ended.stderr


@pytest.mark.parametrize("words", JOBS, ids=" ".join)
def test_with_a_wrong_java_a_job_is_one_line_that_names_both(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)

    ended = loginlake.with_path(java.parent)(*words, "--kafka", f"127.0.0.1:{free_port}", "--state", str(tmp_path))

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"{java} is version 11. Install Java 17 or 21" in ended.stderr


@pytest.mark.spark
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_spark_starts_ends_the_job_and_its_jvm(
    loginlake_process: LoginlakeProcess, tmp_path: Path, number: signal.Signals
) -> None:
    job = loginlake_process.start("gold", "--root", str(tmp_path / "lake"), "--state", str(tmp_path))
    first_words_of_the_jvm = job.stderr.readline()
    job.send_signal(number)
    # Ends only when the JVM, which writes there too, has ended.
    _, errors = job.communicate(timeout=120)

    assert job.returncode == 130, first_words_of_the_jvm + errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("words", JOBS[:-1], ids=" ".join)
def test_without_pyspark_a_job_is_one_line_that_names_the_extra(
    loginlake_process: LoginlakeProcess, words: list[str]
) -> None:
    ended = loginlake_process.without("pyspark", "delta", "py4j")(*words)

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "pip install 'loginlake[spark]'" in ended.stderr


def test_without_polars_verify_is_one_line_that_names_the_extra(loginlake_process: LoginlakeProcess) -> None:
    ended = loginlake_process.without("polars")("verify")

    assert ended.returncode == 1
    assert ended.stderr == "This install has no polars. Install it with `pip install 'loginlake[serving]'`\n"


def test_verify_works_without_pyspark(loginlake_process: LoginlakeProcess, root: str) -> None:
    verify = loginlake_process.without("pyspark", "delta", "py4j")
    report = json.loads(verify("verify", "--root", root, "--kafka", "127.0.0.1:1", "--json").stdout)

    assert report["ok"] is True
    assert report["layers"] == {"kafka": None, "bronze": 8, "silver": 8}
