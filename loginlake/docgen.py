"""Generate the docs that come from code: `python -m loginlake.docgen` writes them, `--check` lists stale ones."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from lakehouse.entrypoint import run
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from gold.rules.model import AnyRule

ROOT = Path(__file__).parent.parent
README, TABLES_PAGE, RULES_PAGE = Path("README.md"), Path("docs/tables.md"), Path("docs/rules.md")
FORMATS_PAGE, LOGIN_SCHEMA = Path("docs/formats.md"), Path("docs/schemas/login.schema.json")

TABLES_INTRO = """# Tables and metrics

Every table of the lake is declared once, in `lakehouse/tables/`; `make docs` generates this page from the declarations.
Each table is a Delta table at `ROOT/<layer>/<name>`. Every column may be null. Instants are UTC.

A **metric** aggregates logins per hour, day, week (from Monday) or month, all UTC. A query computes it from the base,
[gold.pair_activity_hourly](#goldpair_activity_hourly). If a window is named as stored, a table of the metric's name has
the same rows for that window.
"""

RULES_INTRO = """# Detection rules

Every rule is a class in `gold/rules/`; its thresholds are a section of `conf/detections.toml`. `make docs` generates
this page from both. To see what the rules found: `loginlake query detections`.

- A **signal** is a failed login or a probe (a client that leaves before it tries a password). A public key that is
  refused is a signal only for an unknown user: OpenSSH's clients offer all their keys.
- A **guess** is a signal with a user name whose password may have been wrong: not a probe, not an expired password, not
  a failed second factor.
- A **hit** is an event at which a rule fires. Hits of one entity that are less than a window apart (or an hour, if the
  window is shorter) are one detection.
- These rules compare a day of a user or an app with the days before it, its **baseline**:
  {compared}.
  All hits of a user or an app on a UTC day are one detection. They report what is unusual, not attacks: their severity
  is low.

The thresholds are those of published rules, which are named as sources. To change one, edit `conf/detections.toml`,
raise the `version` of the rule there, and run `loginlake rebuild gold` to apply it to older days
([upgrading](upgrading.md#rules)). The folder that `LOGINLAKE_CONF` names must be a complete copy of `conf/`, but its
`detections.toml` needs only the sections and thresholds that differ. To add a rule: [a recipe](howto.md#a-rule).

Each section may have an allow-list. The entities on it get no detections of the rule. If the entity is an address, the
list may have CIDR blocks too:

```toml
[brute_force_ip]
allow = ["192.0.2.7", "10.0.0.0/8"]
```

A detection that was published before its entity was allowed stays until new events touch it or gold is rebuilt; then it
becomes `retracted`.
"""
TECHNIQUES = "https://attack.mitre.org/techniques"

# Characters that would end a cell or start HTML.
ESCAPED = str.maketrans({"|": r"\|", "<": r"\<"})

app = typer.Typer(add_completion=False)


class DocsStale(LakehouseError):
    """A generated page differs from what the code generates now."""


@app.command()
def generate(
    *, check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a page is stale.")] = False
) -> None:
    """Write the docs that are generated from code."""
    stale = stale_documents(documents(ROOT), ROOT)
    if check and stale:
        raise DocsStale(
            f"Generated docs are stale: {', '.join(str(path) for path in stale)}", hint="Run `make docs`", stale=stale
        )
    for path, text in stale.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    typer.echo(f"Written: {', '.join(str(path) for path in stale)}" if stale else "All generated docs are up to date")


def documents(root: Path) -> dict[Path, str]:
    """Return the text of every generated or partly generated document, by its path below the root.

    Raises:
        DocsStale: A page does not have exactly one pair of markers for its generated section.
    """
    from silver.schema import login_schema

    return {
        README: with_section(root / README, name="settings", text=settings_table()),
        FORMATS_PAGE: with_section(root / FORMATS_PAGE, name="reasons", text=reasons_table()),
        TABLES_PAGE: tables_page(),
        RULES_PAGE: rules_page(),
        LOGIN_SCHEMA: login_schema(),
    }


def stale_documents(texts: Mapping[Path, str], root: Path) -> dict[Path, str]:
    """Return the documents whose file below the root differs or is missing."""
    return {
        path: text for path, text in texts.items() if not (root / path).exists() or (root / path).read_text() != text
    }


def with_section(page: Path, *, name: str, text: str) -> str:
    """Return the page with the text between its markers `<!-- name: … -->` and `<!-- /name -->`.

    Raises:
        DocsStale: The page does not have exactly one pair of these markers.
    """
    markers = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    written, found = markers.subn(lambda section: f"{section[1]}\n{text}\n{section[2]}", page.read_text())
    if found != 1:
        raise DocsStale(
            f"{page.name} has {found} sections named {name!r}, not one",
            hint=f"Mark one section: <!-- {name}: generated by `make docs` --> and <!-- /{name} -->",
        )
    return written


def settings_table() -> str:
    """Return a Markdown table of all settings with their defaults and meanings."""
    from lakehouse.settings import Settings

    rows = (
        (
            f"`LOGINLAKE_{name.upper()}`",
            _default(field.get_default(call_default_factory=True, validated_data={})),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    )
    return markdown_table(("setting", "default", "meaning"), rows)


def reasons_table() -> str:
    """Return a Markdown table of all reason codes with their verdicts and meanings."""
    from silver.formats.reasons import Reason

    rows = ((f"`{reason.value}`", reason.verdict, reason.meaning) for reason in Reason)
    return markdown_table(("reason", "verdict", "meaning"), rows)


def tables_page() -> str:
    """Return the page of all tables and metrics."""
    return "\n".join((TABLES_INTRO, *_table_sections(), *_view_sections(), "## Metrics\n", *_metric_sections()))


def _table_sections() -> Iterator[str]:
    from lakehouse.tables import TABLES

    for table in TABLES.values():
        facts = [
            f"- grain: {table.grain}",
            f"- key: {_names(table.key)}",
            f"- partitioned by: {_names(table.partition_by) or 'none'}",
        ]
        yield from _section(f"## {table.full_name}", facts, columns=table.columns)


def _view_sections() -> Iterator[str]:
    from lakehouse.tables import VIEWS

    yield "## Views\n\nComputed when they are read, from the tables of a snapshot and the labels.\n"
    for view in VIEWS.values():
        yield from _section(f"### {view.name}", [f"- grain: {view.grain}"], columns=view.columns)


def _metric_sections() -> Iterator[str]:
    from lakehouse.tables import METRICS_BY_NAME

    for metric in METRICS_BY_NAME.values():
        facts = [
            f"- meaning: {metric.meaning}",
            f"- grain: {metric.grain}",
            f"- windows: {_names(metric.every)}",
            f"- stored: {f'by {metric.stored}, as gold.{metric.name}' if metric.stored else 'no'}",
        ]
        yield from _section(f"### {metric.name}", facts, columns=(*metric.dimensions, *metric.measures))


def _section(heading: str, facts: Sequence[str], *, columns: Iterable[Any]) -> Iterator[str]:
    yield f"{heading}\n"
    yield "\n".join(facts) + "\n"
    yield _columns_table(columns)


def rules_page() -> str:
    """Return the page of all detection rules with the thresholds of `conf/`."""
    from gold.rules import rules_in
    from gold.rules.baseline import over_baselines
    from lakehouse.conf import CLONED

    rules = rules_in(CLONED)
    rows = ((f"[{rule.name}](#{rule.name})", f"`{rule.entity}`", rule.severity, _finds(rule)[0]) for rule in rules)
    overview = markdown_table(("rule", "entity", "severity", "finds"), rows)
    intro = RULES_INTRO.format(compared=", ".join(f"`{rule.name}`" for rule in over_baselines(rules)))
    return "\n".join((intro, overview, *map(_rule_section, rules)))


def _rule_section(rule: AnyRule) -> str:
    facts = [
        f"- entity: `{rule.entity}`",
        f"- ATT&CK technique: [{rule.technique}]({TECHNIQUES}/{rule.technique.replace('.', '/')}/)",
        f"- known false alarms: {rule.false_alarms}",
        f"- sources: {', '.join(f'<{source}>' for source in rule.sources)}",
    ]
    thresholds = (
        (f"`{name}`", f"`{_threshold(getattr(rule, name))}`", str(threshold["description"]))
        for name, threshold in _thresholds(rule).items()
        if name not in {"technique", "allow"}
    )
    table = markdown_table(("threshold", "value", "meaning"), thresholds)
    return "\n".join((f"## {rule.name}\n", "\n\n".join(_finds(rule)), "", *facts, "", table))


def _finds(rule: AnyRule) -> list[str]:
    """Return what a rule finds: the paragraphs of its docstring, each on one line."""
    return [" ".join(paragraph.split()) for paragraph in (inspect.getdoc(rule) or "").split("\n\n")]


def _thresholds(rule: AnyRule) -> Mapping[str, Mapping[str, Any]]:
    """Return the JSON schema of each threshold of a rule."""
    # Sets of addresses have a type of their own.
    _, declared = msgspec.json.schema_components([type(rule)], schema_hook=lambda _: {})
    thresholds: Mapping[str, Mapping[str, Any]] = declared[type(rule).__name__]["properties"]
    return thresholds


def _threshold(value: object) -> str:
    from gold.rules.addresses import AddressSet

    if isinstance(value, AddressSet):
        return "a list" if value else "[]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _columns_table(columns: Iterable[Any]) -> str:
    rows = ((f"`{column.name}`", column.type_name, column.meaning) for column in columns)
    return markdown_table(("column", "type", "meaning"), rows)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; characters that would end a cell or start HTML are escaped."""
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
