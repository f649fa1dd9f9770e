"""The blocks of `docs/howto.md` that begin with a file and a place in it, applied to a copy of the code."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from tests.docs.pages import FENCE, ROOT

PAGE = ROOT / "docs/howto.md"
PLACE = re.compile(r"# (?P<file>[\w/]+\.\w+)(?:, (?P<where>imports|at the end|(?:before|after|in) (?P<name>\w+)))?\n")


@dataclass(frozen=True)
class Block:
    """A block of code with the place that its first line names.

    Attributes:
        file: The file, relative to the root of the code.
        where: `imports`, `at the end`, or `before`, `after` or `in` a name; None for a new file.
        name: The name of the statement that the place refers to.
        text: The lines to add.
    """

    file: str
    where: str | None
    name: str | None
    text: str


def blocks() -> list[Block]:
    """Return the blocks of the page that name a place."""
    texts = [text for _, text in FENCE.findall(PAGE.read_text())]
    return [
        Block(place["file"], place["where"], place["name"], text[place.end() :])
        for text in texts
        if (place := PLACE.match(text))
    ]


def apply(block: Block, folder: Path) -> None:
    """Write the block to its file in a copy of the code."""
    file = folder / block.file
    if block.where is None:
        assert not file.exists()
        file.write_text(block.text)
    elif block.where == "at the end":
        file.write_text(file.read_text() + block.text)
    else:
        file.write_text(_with_block(file.read_text(), block))


def _with_block(source: str, block: Block) -> str:
    statement = _last_import(source) if block.where == "imports" else _statement(source, str(block.name))
    lines = source.splitlines(keepends=True)
    first, last = _first_line(statement), statement.end_lineno
    if block.where == f"in {block.name}":
        begin, bracket, end = "".join(lines[:last]).rpartition(")")
        return f"{begin.rstrip().removesuffix(',')}, {block.text.strip()}{bracket}{end}" + "".join(lines[last:])
    added = indent(block.text, " " * statement.col_offset)
    if block.where == f"before {block.name}":
        return "".join([*lines[: first - 1], f"{added}\n\n", *lines[first - 1 :]])
    gap = "\n\n" if isinstance(statement, ast.FunctionDef) else ""
    return "".join([*lines[:last], gap, added, *lines[last:]])


def _statement(source: str, name: str) -> ast.stmt:
    """Return the only statement that defines a name."""
    (found,) = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt) and _defines(node, name)]
    return found


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name == name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _last_import(source: str) -> ast.stmt:
    return [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)][-1]


def _first_line(statement: ast.stmt) -> int:
    decorators = statement.decorator_list if isinstance(statement, ast.FunctionDef | ast.ClassDef) else []
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])
