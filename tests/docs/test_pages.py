"""What the pages show is there: files, headings, verbs, options, targets, settings, URLs, records."""

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


def leaf(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that the arguments name, and what is left of them."""
    command, rest = COMMANDS, arguments
    while rest and not rest[0].startswith("-") and (verbs := getattr(command, "commands", None)):
        assert rest[0] in verbs, f"no verb {rest[0]}"
        command, rest = verbs[rest[0]], rest[1:]
    return command, rest


def options(command: Any) -> set[str]:
    parameters = command.get_params(command.context_class(command))
    return {option for parameter in parameters for option in parameter.opts}


@every_page
def test_every_link_leads_to_a_file_and_heading_that_are_there(page: Path) -> None:
    for link in links(page):
        target = urlsplit(link)
        if target.scheme:
            continue
        file = page.parent / target.path if target.path else page
        assert file.exists(), link
        assert not target.fragment or target.fragment in anchors(file), link


@every_page
def test_every_verb_and_option_that_is_named_is_there(page: Path) -> None:
    for arguments in calls(page, "loginlake"):
        command, rest = leaf(arguments)
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= options(command), arguments


@every_page
def test_every_command_to_paste_is_complete(page: Path) -> None:
    for arguments in calls(page, "loginlake", blocks_only=True):
        command, rest = leaf(arguments)
        command.make_context("loginlake", rest)


@every_page
def test_every_make_target_that_is_named_is_there(page: Path) -> None:
    for arguments in calls(page, "make"):
        assert {word for word in arguments if "=" not in word} <= TARGETS, arguments


@every_page
def test_every_setting_that_is_named_is_there(page: Path) -> None:
    known = {f"LOGINLAKE_{name.upper()}" for name in Settings.model_fields}

    assert set(SETTING.findall(page.read_text())) <= known


@every_page
def test_every_url_that_is_named_has_a_route(page: Path) -> None:
    routes = create_app(Settings(_env_file=None)).routes

    for url in URL.findall(page.read_text()):
        scope = {"type": "http", "method": "GET", "path": urlsplit(url).path or "/", "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in routes), url


@every_page
def test_every_record_to_paste_is_an_accepted_login(page: Path) -> None:
    for command in SENT.findall("\n".join(shell_blocks(page))):
        sent = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout

        (row,) = decoded(a_record(sent, appended_at=datetime.now(UTC)))
        assert (row["verdict"], row["action"]) == ("accepted", "login"), row["detail"]


def test_the_readme_shows_a_record_to_send() -> None:
    assert len(SENT.findall(README.read_text())) == 1


def test_every_setting_is_in_the_readme() -> None:
    assert {f"LOGINLAKE_{name.upper()}" for name in Settings.model_fields} <= set(SETTING.findall(README.read_text()))


def test_every_verb_is_in_the_readme() -> None:
    table = README.read_text().partition("## Commands")[2].partition("\n## ")[0]
    listed = {CODE.findall(line)[0] for line in table.splitlines() if line.startswith("| `")}

    verbs = dict(COMMANDS.commands)
    produce = verbs.pop("produce")
    assert listed == {*verbs, *(f"produce {verb}" for verb in produce.commands)}


@every_page
def test_every_block_of_json_is_json(page: Path) -> None:
    for language, text in FENCE.findall(page.read_text()):
        if language == "json":
            assert json.loads(text)
