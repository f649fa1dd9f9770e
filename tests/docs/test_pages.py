"""Everything that the pages name exists: files, headings, commands, options, targets, settings, URLs, records."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.routing import Match
from typer.main import get_command

from lakehouse.settings import Settings
from loginlake.cli import app
from serving.app import create_app
from tests.docs.pages import CODE, FENCE, NAMES, PAGES, ROOT, anchors, calls, links, shell_blocks
from tests.silver.records import a_record, decoded

README = ROOT / "README.md"
COMMANDS: Any = get_command(app)
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
SENT = re.compile(r"^(echo '\{.*\}') \|", re.MULTILINE)
SETTING = re.compile(r"LOGINLAKE_[A-Z_]+")
URL = re.compile(r"http://127\.0\.0\.1:8000[^\s'>|`]*")

every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


def command_of(arguments: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the arguments name, and its own arguments."""
    command, rest = COMMANDS, arguments
    while rest and not rest[0].startswith("-") and (commands := getattr(command, "commands", None)):
        assert rest[0] in commands, f"no command {rest[0]}"
        command, rest = commands[rest[0]], rest[1:]
    return command, rest


def options(command: Any) -> set[str]:
    parameters = command.get_params(command.context_class(command))
    return {option for parameter in parameters for option in parameter.opts}


@every_page
def test_every_link_leads_to_an_existing_file_and_heading(page: Path) -> None:
    for link in links(page):
        target = urlsplit(link)
        if target.scheme:
            continue
        file = page.parent / target.path if target.path else page
        assert file.exists(), link
        assert not target.fragment or target.fragment in anchors(file), link


@every_page
def test_every_command_and_option_exists(page: Path) -> None:
    for arguments in calls(page, "loginlake"):
        command, rest = command_of(arguments)
        used = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert used <= options(command), arguments


@every_page
def test_every_command_in_a_block_has_all_required_arguments(page: Path) -> None:
    for arguments in calls(page, "loginlake", blocks_only=True):
        command, rest = command_of(arguments)
        command.make_context("loginlake", rest)


@every_page
def test_every_make_target_exists(page: Path) -> None:
    for arguments in calls(page, "make"):
        assert {word for word in arguments if "=" not in word} <= TARGETS, arguments


@every_page
def test_every_setting_exists(page: Path) -> None:
    known = {f"LOGINLAKE_{name.upper()}" for name in Settings.model_fields}

    assert set(SETTING.findall(page.read_text())) <= known


@every_page
def test_every_url_has_a_route(page: Path) -> None:
    routes = create_app(Settings(_env_file=None)).routes

    for url in URL.findall(page.read_text()):
        scope = {"type": "http", "method": "GET", "path": urlsplit(url).path or "/", "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in routes), url


@every_page
def test_every_record_in_a_block_is_an_accepted_login(page: Path) -> None:
    for command in SENT.findall("\n".join(shell_blocks(page))):
        sent = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout

        (row,) = decoded(a_record(sent, appended_at=datetime.now(UTC)))
        assert (row["verdict"], row["action"]) == ("accepted", "login"), row["detail"]


@pytest.mark.parametrize(
    "found",
    [
        links(README),
        calls(README, "loginlake"),
        calls(README, "loginlake", blocks_only=True),
        calls(README, "make"),
        URL.findall(README.read_text()),
    ],
    ids=["links", "commands", "commands in blocks", "targets", "URLs"],
)
def test_the_readme_has_what_the_tests_of_every_page_look_for(found: list[object]) -> None:
    assert found


def test_the_readme_shows_a_record_to_send() -> None:
    assert len(SENT.findall(README.read_text())) == 1


def test_every_setting_is_in_the_readme() -> None:
    assert {f"LOGINLAKE_{name.upper()}" for name in Settings.model_fields} <= set(SETTING.findall(README.read_text()))


def test_every_command_is_in_the_readme() -> None:
    table = README.read_text().partition("## Commands")[2].partition("\n## ")[0]
    listed = {CODE.findall(line)[0] for line in table.splitlines() if line.startswith("| `")}

    commands = dict(COMMANDS.commands)
    produce = commands.pop("produce")
    assert listed == {*commands, *(f"produce {name}" for name in produce.commands)}


@every_page
def test_every_block_of_json_is_json(page: Path) -> None:
    for language, text in FENCE.findall(page.read_text()):
        if language == "json":
            assert json.loads(text)
