"""Files and error messages that the pages name exist in the repository."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import CODE, FENCE, NAMES, PAGES, ROOT

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
FOLDERS = sorted({path.split("/")[0] for path in TRACKED if "/" in path})
FILE = re.compile(rf"(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*")
# A string literal that continues on the next line, as Python joins it.
CONTINUED = re.compile(r"\"\s*\n\s*f?\"")
# A shorter piece of a message would be found anywhere.
MIN_PIECE = 6


@cache
def source_text() -> str:
    paths = [path for path in TRACKED if path.endswith(".py") and not path.startswith("tests/")]
    return "\n".join(CONTINUED.sub("", (ROOT / path).read_text()) for path in (*paths, "Makefile"))


def quoted_messages() -> list[str]:
    """The messages in the first column of the troubleshooting table; `…` stands for a value."""
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    return [message for row in rows for message in CODE.findall(row)]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = [code for code in CODE.findall(FENCE.sub("", page.read_text())) if FILE.fullmatch(code)]

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("message", quoted_messages())
def test_every_message_in_the_troubleshooting_table_is_in_the_code(message: str) -> None:
    pieces = [piece.strip() for piece in message.split("…") if len(piece.strip()) >= MIN_PIECE]

    assert pieces
    assert [piece for piece in pieces if piece not in source_text()] == []
