"""The code, links and headings of the documentation pages."""

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
# Characters that end the arguments of a command.
PUNCTUATION = "|&;()<>"


def shell_blocks(page: Path) -> list[str]:
    """Return the text of every block of shell commands."""
    return [text for language, text in FENCE.findall(page.read_text()) if language == "sh"]


def links(page: Path) -> list[str]:
    """Return the targets of the page's links, except in code."""
    return LINK.findall(CODE.sub("", FENCE.sub("", page.read_text())))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub creates for the headings of a page."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def calls(page: Path, program: str, *, blocks_only: bool = False) -> list[list[str]]:
    """Return the arguments of every call of a program on the page, in blocks and (by default) in sentences."""
    pieces = [line for block in shell_blocks(page) for line in block.splitlines()]
    if not blocks_only:
        pieces += CODE.findall(FENCE.sub("", page.read_text()))
    return [arguments for piece in pieces for arguments in _calls_in(piece, program)]


def _calls_in(line: str, program: str) -> Iterator[list[str]]:
    """Yield the arguments of the calls of a program in a line of commands, except calls without arguments."""
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
