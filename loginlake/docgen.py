"""The docs that come from code: `python -m loginlake.docgen` writes them, `--check` says which are stale."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lakehouse.entrypoint import run
from lakehouse.errors import LakehouseError

ROOT = Path(__file__).parent.parent
README, TABLES_PAGE = Path("README.md"), Path("docs/tables.md")
FORMATS_PAGE, LOGIN_SCHEMA = Path("docs/formats.md"), Path("docs/schemas/login.schema.json")

TABLES_INTRO = """# Tables and metrics

Every table of the lake is declared once, in `lakehouse/tables/`; this page is written from these declarations by
`make docs`. A table lies at `ROOT/<layer>/<name>` and is a Delta table. Every column may be null. Instants are UTC.

A **metric** is a question about logins per hour or day. It is computed from the base,
[gold.pair_activity_hourly](#goldpair_activity_hourly), when it is asked for; the window named as stored is also kept
as a table of the same name. Both give the same rows.
"""

# What means something to Markdown in the middle of a cell.
ESCAPED = str.maketrans({"|": r"\|", "<": r"\<"})

app = typer.Typer(add_completion=False)


class DocsStale(LakehouseError):
    """A page that comes from code is not what the code gives now."""


@app.command()
def reference(
    *, check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if one is stale.")] = False
) -> None:
    """Write the docs that come from code."""
    stale = stale_documents(documents(ROOT), ROOT)
    if check and stale:
        raise DocsStale(f"Stale: {', '.join(str(path) for path in stale)}", hint="Run `make docs`", stale=stale)
    for path, text in stale.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    typer.echo(
        f"Written: {', '.join(str(path) for path in stale)}" if stale else "All docs that come from code are fresh"
    )


def documents(root: Path) -> dict[Path, str]:
    """The text of every document that comes from code, whole or in part, by its path below the root.

    Raises:
        DocsStale: A page lacks the markers between which its part belongs.
    """
    from silver.schema import login_schema

    return {
        README: with_section(root / README, name="settings", text=settings_table()),
        FORMATS_PAGE: with_section(root / FORMATS_PAGE, name="reasons", text=reasons_table()),
        TABLES_PAGE: tables_page(),
        LOGIN_SCHEMA: login_schema(),
    }


def stale_documents(texts: Mapping[Path, str], root: Path) -> dict[Path, str]:
    """Those of the documents that lie otherwise, or not at all, below the root."""
    return {
        path: text for path, text in texts.items() if not (root / path).exists() or (root / path).read_text() != text
    }


def with_section(page: Path, *, name: str, text: str) -> str:
    """The page with the text between its markers `<!-- name: … -->` and `<!-- /name -->`.

    Raises:
        DocsStale: The page does not have both markers, once.
    """
    markers = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    written, found = markers.subn(lambda marked: f"{marked[1]}\n{text}\n{marked[2]}", page.read_text())
    if found != 1:
        raise DocsStale(
            f"{page.name} has {found} sections {name!r}",
            hint=f"Mark one: <!-- {name}: written by `make docs` --> and <!-- /{name} -->",
        )
    return written


def settings_table() -> str:
    """Every setting with its default and its meaning, as a table in Markdown."""
    from lakehouse.settings import Settings

    rows = (
        (f"`LOGINLAKE_{name.upper()}`", _default(field.get_default(call_default_factory=True)), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    return markdown_table(("setting", "default", "meaning"), rows)


def reasons_table() -> str:
    """Every reason code with its verdict and its meaning, as a table in Markdown."""
    from silver.formats.reasons import Reason

    rows = ((f"`{reason.value}`", reason.verdict, reason.meaning) for reason in Reason)
    return markdown_table(("reason", "verdict", "meaning"), rows)


def tables_page() -> str:
    """The page of all tables and metrics."""
    return "\n".join((TABLES_INTRO, *_table_sections(), "## Metrics\n", *_metric_sections()))


def _table_sections() -> Iterator[str]:
    from lakehouse.tables import TABLES

    for table in TABLES.values():
        facts = [
            f"- grain: {table.grain}",
            f"- key: {_names(table.key)}",
            f"- partitioned by: {_names(table.partition_by) or 'nothing'}",
        ]
        yield f"## {table.full_name}\n"
        yield "\n".join(facts) + "\n"
        yield _columns_table(table.columns)


def _metric_sections() -> Iterator[str]:
    from lakehouse.tables import METRICS_BY_NAME

    for metric in METRICS_BY_NAME.values():
        facts = [
            f"- meaning: {metric.meaning}",
            f"- grain: one row per {_names(column.name for column in metric.dimensions)} and window",
            f"- windows: {_names(metric.every)}",
            f"- stored: {f'by {metric.stored}, as gold.{metric.name}' if metric.stored else 'no'}",
        ]
        yield f"### {metric.name}\n"
        yield "\n".join(facts) + "\n"
        yield _columns_table(metric.measures)


def _columns_table(columns: Iterable[Any]) -> str:
    rows = ((f"`{column.name}`", type_name(column.type), column.meaning) for column in columns)
    return markdown_table(("column", "type", "meaning"), rows)


def type_name(type_: str | Mapping[str, Any]) -> str:
    """A type in Delta's words, on one line: `array of (key string, value binary)`."""
    if isinstance(type_, str):
        return type_
    if type_["type"] == "array":
        return f"array of {type_name(type_['elementType'])}"
    fields = (f"{field['name']} {type_name(field['type'])}" for field in type_["fields"])
    return f"({', '.join(fields)})"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; what would end a cell or begin HTML is escaped."""
    return "".join(_line(cells) for cells in (head, ["---"] * len(head), *rows))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.translate(ESCAPED) for cell in cells)} |\n"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _default(value: Any) -> str:
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    run(app)
