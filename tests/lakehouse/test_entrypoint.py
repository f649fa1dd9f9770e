"""How commands end: exit codes, messages and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lakehouse.entrypoint import print_error, print_text, stop_on_signals
from lakehouse.errors import UsageError

COMMAND = """
import signal, sys
import typer
from lakehouse.entrypoint import run, stop_on_signals
from lakehouse.options import SettingsCommand
from lakehouse.errors import JavaMissing, UsageError

app = typer.Typer()

@app.command()
def fail(): raise JavaMissing("Java is not installed", hint="Install it")

@app.command()
def misuse(): raise UsageError("The year is not a number", hint="Write four digits")

@app.command()
def crash(): raise RuntimeError("a fault of ours")

@app.command()
def lacking(): import polars_of_another_name

@app.command()
def wait(): print("waiting", flush=True); signal.pause()

@app.command(cls=SettingsCommand)
def root():
    from lakehouse.settings import load_settings
    print(load_settings().root)

@app.command()
def until_stopped():
    with stop_on_signals() as stop:
        print("waiting", flush=True)
        stop.wait()
        print("stopping", flush=True)
        signal.pause()

run(app)
"""


def ended(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", COMMAND, *words], capture_output=True, text=True, check=False)


def started(*words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "waiting\n"
    return process


def test_a_lakehouse_error_is_printed_as_one_line_and_sets_the_exit_code() -> None:
    failed, misused = ended("fail"), ended("misuse")

    assert (failed.returncode, failed.stderr) == (1, "Java is not installed. Install it\n")
    assert (misused.returncode, misused.stderr) == (2, "The year is not a number. Write four digits\n")


@pytest.mark.parametrize("words", [["nonsense"], ["fail", "--nonsense"], ["root", "--root"]])
def test_wrong_usage_exits_2(words: list[str]) -> None:
    assert ended(*words).returncode == 2


@pytest.mark.parametrize("word", ["crash", "lacking"])
def test_an_error_in_our_code_keeps_its_traceback(word: str) -> None:
    assert ended(word).returncode == 1
    assert "Error" in ended(word).stderr


def test_a_setting_is_an_option_of_every_command() -> None:
    assert ended("root", "--root", "s3://lake").stdout == "s3://lake\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_with_130_and_no_traceback(number: signal.Signals) -> None:
    process = started("wait")
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")


def test_sigint_ends_a_command_even_if_a_script_started_it_with_sigint_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = started("wait")
    finally:
        signal.signal(signal.SIGINT, before)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_requests_a_stop_and_the_second_interrupts(number: signal.Signals) -> None:
    process = started("until-stopped")
    process.send_signal(number)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (130, "")


def test_the_first_signal_reports_at_once_what_is_being_finished(capsys: pytest.CaptureFixture[str]) -> None:
    with stop_on_signals(finishing="a refresh"):
        os.kill(os.getpid(), signal.SIGINT)

    assert capsys.readouterr().err == "\nStopping, after a refresh if one runs …; Ctrl-C again to end now\n"


def test_the_signal_handlers_are_restored_after_the_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(30)

    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("is_terminal", "lines"),
    [
        (True, ["There is no metric ip-act.", "Use ip_activity or", "user_activity"]),
        (False, ["There is no metric ip-act. Use ip_activity or user_activity"]),
    ],
    ids=["terminal", "file"],
)
def test_a_terminal_breaks_an_error_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, lines: list[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    monkeypatch.setenv("COLUMNS", "27")

    print_error(UsageError("There is no metric ip-act", hint="Use ip_activity or user_activity"))

    assert capsys.readouterr().err.splitlines() == lines


def test_a_terminal_breaks_each_line_of_a_text_between_words_and_keeps_its_indent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "16")

    print_text("one fault of a table\n  hint: Run a rebuild")

    assert capsys.readouterr().out.splitlines() == ["one fault of a", "table", "  hint: Run a", "  rebuild"]
