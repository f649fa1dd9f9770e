"""What the pages of the documentation show: their code, links and headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# What ends the arguments of a command.
PUNCTUATION = "|&;()<>"


def shell_blocks(page: Path) -> list[str]:
    """The text of every block of shell commands."""
    return [text for language, text in FENCE.findall(page.read_text()) if language == "sh"]


def links(page: Path) -> list[str]:
    """Where the page leads to, outside of its code."""
    return LINK.findall(CODE.sub("", FENCE.sub("", page.read_text())))


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives the headings of a page."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def calls(page: Path, program: str, *, blocks_only: bool = False) -> list[list[str]]:
    """The arguments of every call of a program that the page shows, in a block or in the middle of a sentence."""
    pieces = [line for block in shell_blocks(page) for line in block.splitlines()]
    if not blocks_only:
        pieces += CODE.findall(FENCE.sub("", page.read_text()))
    return [arguments for piece in pieces for arguments in _calls_in(piece, program)]


def _calls_in(line: str, program: str) -> Iterator[list[str]]:
    """The calls of a program among the commands of a line; its bare name is none."""
    if program not in line:
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=PUNCTUATION)
    lexer.whitespace_split = True
    arguments: list[str] | None = None
    for word in (*lexer, ";"):
        if word[0] in PUNCTUATION:
            if arguments:
                yield arguments
            arguments = None
        elif arguments is not None:
            arguments.append(word)
        elif Path(word).name == program:
            arguments = []
