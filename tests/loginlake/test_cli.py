"""The command line as a whole: commands, help, exit codes and errors."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import loginlake.commands
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.options import option_name
from lakehouse.settings import Settings
from loginlake.cli import app
from loginlake.durations import parse_duration
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.serving.lakes import publish_twice, settings_of

HEAVY = ("polars", "deltalake", "confluent_kafka", "pyspark", "pandas", "fastapi")
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
COMMANDS_OF_LAYERS = {"bronze", "silver", "gold", "produce", "serve"}
SHARED_MODULES = {"conditions", "output", "reading", "times"}
JOBS = [["bronze", "--once"], ["silver"], ["gold"], ["refresh"], ["broker"]]

INTERRUPTED_IMPORT = """
import os, signal, sys
from loginlake.__main__ import main

class Interruption:
    def find_spec(self, name, *_):
        if name == "loginlake.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interruption())
main()
"""


@pytest.fixture
def root(tmp_path: Path) -> str:
    settings = settings_of(tmp_path)
    publish_twice(settings)
    return settings.root


def the_only_line(ended: Any, *, code: int = 1) -> str:
    """The single line of an error, without a traceback."""
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.strip()


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


def test_python_m_loginlake_is_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "loginlake", "--version"], capture_output=True, text=True, check=True)

    assert ended.stdout.startswith("loginlake ")


def test_ctrl_c_while_modules_are_imported_ends_without_a_traceback() -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (130, "")


def test_every_command_has_a_module_of_its_name() -> None:
    modules = {file.stem for file in Path(loginlake.commands.__file__).parent.glob("[a-z]*.py")}

    assert modules - SHARED_MODULES == set(COMMANDS) - COMMANDS_OF_LAYERS


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"produce"}))
def test_the_help_of_every_command_has_an_example_of_it(name: str) -> None:
    assert COMMANDS[name].epilog.startswith(f"For example: loginlake {name}")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_command_has_an_option_with_the_name_of_a_setting(name: str) -> None:
    """The option would take the setting's value."""
    commands = getattr(COMMANDS[name], "commands", {name: COMMANDS[name]}).values()
    own = [parameter for command in commands for parameter in command.params]

    assert {option for parameter in own for option in parameter.opts} & {
        option_name(setting) for setting in Settings.model_fields
    } == set()
    assert {parameter.name for parameter in own} & set(Settings.model_fields) == set()


@pytest.mark.parametrize("name", [None, *sorted(COMMANDS)])
def test_the_help_names_no_type_for_an_option_without_a_value(loginlake: Loginlake, name: str | None) -> None:
    words = [name] if name else []

    assert "<bool>" not in loginlake.with_environment(COLUMNS="80")(*words, "--help").stdout


def test_the_help_of_a_command_is_broken_only_where_the_terminal_ends(loginlake: Loginlake) -> None:
    shown = loginlake.with_environment(COLUMNS="80")("query", "--help").stdout

    lines = [line.strip() for line in shown.splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith("--from and --to select"))
    assert lines[first + 1].startswith("instant that its partitions are derived from: fired_at of detections")
    assert "table, json, csv, ndjson, parquet" in " ".join(word for word in shown.split() if word != "│")


@pytest.mark.parametrize("name", ["verify", "serve"])
def test_the_help_of_a_command_lists_the_settings(loginlake: Loginlake, name: str) -> None:
    shown = loginlake(name, "--help").stdout

    assert [setting for setting in Settings.model_fields if option_name(setting) not in shown] == []


@pytest.mark.parametrize(
    "words", [["vrify"], ["verify", "--nothing"], ["history"], ["refresh", "--every", "soon"], ["rebuild", "bronze"]]
)
def test_wrong_usage_exits_with_2(loginlake: Loginlake, words: list[str]) -> None:
    assert loginlake(*words).returncode == UsageError.exit_code


def test_a_wrong_setting_is_one_line_that_names_it(loginlake: Loginlake) -> None:
    line = the_only_line(
        loginlake.with_environment(LOGINLAKE_TOPIC="a b")("verify", "--port", "many"), code=UsageError.exit_code
    )

    assert "LOGINLAKE_TOPIC='a b' does not match" in line
    assert line.endswith("; --port many is not an integer. Correct them and start again")


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["query", "events", "--limit", "0"], "'--limit': 0 is not 1 or more"),
        (["query", "events", "--snapshot", "x y"], "'--snapshot': 'x y' is not an integer"),
        (["produce", "generate", "--attacks", "2"], "'--attacks': 2 is not 0.5 or less"),
        (["produce", "generate", "--rate", "ten"], "'--rate': ten is not a number"),
        (["produce", "generate", "--format", "xml"], "'--format': 'xml' is not one of 'login', 'sshd'"),
        (["diff", "one", "2"], "'OLD': one is not an integer"),
    ],
    ids=" ".join,
)
def test_a_wrong_value_is_named_with_what_is_wrong(loginlake: Loginlake, words: list[str], refused: str) -> None:
    ended = loginlake(*words)

    assert ended.returncode == UsageError.exit_code
    assert f"Invalid value for {refused} " in " ".join(ended.stderr.replace("│", " ").split()) + " "


def test_the_jars_are_printed_as_spark_takes_them(loginlake: Loginlake) -> None:
    ended = loginlake("jars", "--print", "spark")

    files = [Path(file) for file in ended.stdout.strip().split(",")]
    assert all(file.is_file() for file in files)
    assert "delta-storage" in ended.stdout
    assert "kafka_2.13" not in ended.stdout  # a jar of the broker


def test_an_empty_lake_is_one_line(loginlake: Loginlake, tmp_path: Path) -> None:
    ended = loginlake("verify", "--root", str(tmp_path))

    assert f"{tmp_path} has no tables" in the_only_line(ended, code=LakehouseError.exit_code)


def test_a_reader_that_closes_the_pipe_causes_no_error(loginlake_process: LoginlakeProcess, root: str) -> None:
    writer = loginlake_process.start(
        "sql", "select * from events", "--root", root, "--format", "ndjson", stdout=subprocess.PIPE
    )
    writer.stdout.close()
    _, errors = writer.communicate(timeout=60)

    assert errors == b""


@pytest.mark.parametrize(("text", "expected"), [("15s", 15), ("1m", 60), ("2h", 7200)])
def test_a_duration_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "15", "1d", "-1m", "1.5h", "15 s"])
def test_a_text_that_is_not_a_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"(?s)--every: .* such as 15s, 1m or 1h"):
        parse_duration(text)


@pytest.mark.parametrize("words", JOBS, ids=" ".join)
def test_without_java_a_job_fails_with_a_hint(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    ended = loginlake.with_path(tmp_path / "empty")(
        *words, "--kafka", f"127.0.0.1:{free_port}", "--state", str(tmp_path)
    )

    assert "Install Java 17 or 21" in the_only_line(ended)


@pytest.mark.parametrize("words", JOBS, ids=" ".join)
def test_with_an_unsupported_java_a_job_fails_and_names_it(
    loginlake: Loginlake, words: list[str], free_port: int, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)

    ended = loginlake.with_path(java.parent)(*words, "--kafka", f"127.0.0.1:{free_port}", "--state", str(tmp_path))

    line = the_only_line(ended)
    assert f"{java} is version 11" in line
    assert "Install Java 17 or 21" in line


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_spark_starts_ends_the_job_and_its_jvm(
    loginlake_process: LoginlakeProcess, tmp_path: Path, number: signal.Signals
) -> None:
    job = loginlake_process.start("gold", "--root", str(tmp_path / "lake"), "--state", str(tmp_path))
    first_line_of_the_jvm = job.stderr.readline()
    job.send_signal(number)
    # Ends only when the JVM, which writes to the same pipe, has ended.
    _, errors = job.communicate(timeout=120)

    assert job.returncode == 130, first_line_of_the_jvm + errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["bronze", "--once"], ("pyspark", "delta", "py4j"), "spark"),
        (["refresh"], ("pyspark", "delta", "py4j"), "spark"),
        (["verify"], ("polars",), "serving"),
    ],
)
def test_a_missing_package_is_one_line_that_names_the_extra(
    loginlake_process: LoginlakeProcess, words: list[str], missing: tuple[str, ...], extra: str
) -> None:
    ended = loginlake_process.without(*missing)(*words)

    assert f"pip install 'loginlake[{extra}]'" in the_only_line(ended)


def test_verify_works_without_spark(loginlake_process: LoginlakeProcess, root: str) -> None:
    verify = loginlake_process.without("pyspark", "delta", "py4j")
    report = json.loads(verify("verify", "--root", root, "--kafka", "127.0.0.1:1", "--json").stdout)

    assert report["ok"] is True
    assert report["layers"] == {"kafka": None, "bronze": 8, "silver": 8}
