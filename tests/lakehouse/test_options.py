"""Every command has an option for every setting."""

from __future__ import annotations

import os
from collections.abc import Callable
from unittest.mock import patch

import pytest
import typer
from typer.testing import CliRunner

from lakehouse.errors import UsageError
from lakehouse.options import CommandGroup, SettingsCommand, option_name, settings_options
from lakehouse.settings import Settings, load_settings

app = typer.Typer()


@app.command(cls=SettingsCommand)
def show(words: list[str] | None = None) -> None:
    settings = load_settings()
    typer.echo(f"{settings.root} {settings.port} {settings.allow_unauthenticated} {words}")


@pytest.fixture
def run() -> Callable[..., str]:
    def invoke(*words: str, **environment: str) -> str:
        with patch.dict(os.environ, environment):
            return CliRunner().invoke(app, words, catch_exceptions=False).output

    return invoke


@pytest.mark.parametrize("words", [["--root", "s3://lake"], ["--root=s3://lake"]])
def test_an_option_sets_the_setting(run: Callable[..., str], words: list[str]) -> None:
    assert run(*words).startswith("s3://lake 8000 ")


def test_an_option_takes_precedence_over_the_environment(run: Callable[..., str]) -> None:
    assert " 9000 " in run("--port", "9000", LOGINLAKE_PORT="8001")


def test_a_value_may_contain_an_equals_sign(run: Callable[..., str]) -> None:
    assert run("--root=s3://lake?a=b").startswith("s3://lake?a=b ")


def test_child_processes_see_the_setting_in_the_environment() -> None:
    child = typer.Typer()

    @child.command(cls=SettingsCommand)
    def show_environment() -> None:
        typer.echo(os.environ["LOGINLAKE_REFRESH_INTERVAL_SECONDS"])

    with patch.dict(os.environ):
        assert CliRunner().invoke(child, ["--refresh-interval-seconds", "15"]).output == "15\n"


@pytest.mark.parametrize(("words", "expected"), [(["--allow-unauthenticated"], "True"), ([], "False")])
def test_a_boolean_setting_is_a_flag(run: Callable[..., str], words: list[str], expected: str) -> None:
    assert run(*words).split()[2] == expected


@pytest.mark.parametrize("words", [["--root", "--port"], ["--root", "--"]])
def test_an_option_without_a_value_is_a_usage_error(run: Callable[..., str], words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--root has no value\. Write --root VALUE"):
        run(*words)


def test_a_misspelt_option_is_a_usage_error_that_suggests_the_right_one() -> None:
    ended = CliRunner().invoke(app, ["--prot", "1"])

    assert ended.exit_code == UsageError.exit_code
    assert "--port" in ended.output


def test_the_help_lists_every_setting_with_its_meaning_and_default() -> None:
    output = CliRunner().invoke(app, ["--help"]).output
    helps = {option.name: option.help for option in settings_options()}

    assert [name for name in Settings.model_fields if option_name(name) not in output] == []
    assert [name for name, field in Settings.model_fields.items() if field.description not in helps[name]] == []
    assert "Default: logs" in output


def test_the_help_shows_no_secret() -> None:
    helps = {option.name: option.help for option in settings_options()}

    assert helps["kafka_options"] == Settings.model_fields["kafka_options"].description


@pytest.mark.parametrize("word", ["--root=lake", "--root", "--allow-unauthenticated"])
def test_a_setting_before_the_command_is_refused_with_the_place_where_it_belongs(word: str) -> None:
    group = typer.Typer(cls=CommandGroup)
    group.add_typer(app)
    group.callback()(lambda: None)

    with pytest.raises(UsageError, match=rf"Write it after the command: .+ COMMAND {word.partition('=')[0]}$"):
        CliRunner().invoke(group, [word, "show"], catch_exceptions=False)
