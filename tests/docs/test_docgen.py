"""The docs that come from code: they are fresh, and a stale one is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse.settings import Settings
from lakehouse.tables import METRICS_BY_NAME, TABLES
from loginlake import docgen
from loginlake.docgen import DocsStale, markdown_table, settings_table, tables_page, type_name, with_section
from tests.docs.pages import ROOT

BEGIN, END = "<!-- part: written by `make docs` -->\n", "<!-- /part -->\n"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pages, which the command writes instead of ours."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.setattr(docgen, "ROOT", tmp_path)
    return tmp_path


def test_the_docs_that_come_from_code_are_fresh() -> None:
    assert docgen.stale_documents(docgen.documents(ROOT), ROOT) == {}


def test_check_names_each_stale_page_and_writes_nothing(clone: Path) -> None:
    (clone / "docs" / "tables.md").unlink()
    edited = (clone / "README.md").read_text().replace("Port of the API.", "A port.")
    (clone / "README.md").write_text(edited)

    checked = CliRunner().invoke(docgen.app, ["--check"])

    assert isinstance(checked.exception, DocsStale)
    assert str(checked.exception) == "Stale: README.md, docs/tables.md. Run `make docs`"
    assert checked.exception.exit_code == 1
    assert not (clone / "docs" / "tables.md").exists()
    assert (clone / "README.md").read_text() == edited


def test_without_check_the_stale_pages_are_written(clone: Path) -> None:
    shutil.rmtree(clone / "docs" / "schemas")

    written = CliRunner().invoke(docgen.app, [])
    again = CliRunner().invoke(docgen.app, ["--check"])

    assert written.output == "Written: docs/schemas/login.schema.json\n"
    assert again.exit_code == 0
    assert (clone / "docs/schemas/login.schema.json").read_text() == (
        ROOT / "docs/schemas/login.schema.json"
    ).read_text()


def test_only_what_is_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")

    page.write_text(with_section(page, name="part", text="new\n"))

    assert page.read_text() == f"before\n{BEGIN}\nnew\n\n{END}after\n"
    assert with_section(page, name="part", text="new\n") == page.read_text()


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_its_markers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.md").write_text(text)

    with pytest.raises(DocsStale, match="Mark one: <!-- part: "):
        with_section(tmp_path / "page.md", name="part", text="new\n")


def test_every_table_and_column_is_on_the_page() -> None:
    page = tables_page()

    for table in TABLES.values():
        section = page.partition(f"## {table.full_name}\n")[2].partition("\n## ")[0]
        assert f"- grain: {table.grain}" in section
        assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == [*table.column_names]


def test_every_metric_is_on_the_page_with_its_windows() -> None:
    page = tables_page()

    for metric in METRICS_BY_NAME.values():
        section = page.partition(f"### {metric.name}\n")[2].partition("\n### ")[0]
        assert f"- meaning: {metric.meaning}" in section
        assert f"- windows: {', '.join(f'`{window}`' for window in metric.every)}" in section


def test_a_setting_shows_its_default_as_one_would_write_it() -> None:
    lines = settings_table().splitlines()

    assert len(lines) == 2 + len(Settings.model_fields)
    assert "| `LOGINLAKE_PORT` | `8000` | Port of the API. |" in lines
    assert any(line.startswith("| `LOGINLAKE_ALLOW_UNAUTHENTICATED` | `false` |") for line in lines)
    assert any(line.startswith("| `LOGINLAKE_CONF` | none |") for line in lines)


def test_a_nested_type_is_told_on_one_line() -> None:
    headers = TABLES["bronze.raw_logs"].columns[2]

    assert type_name(headers.type) == "array of (key string, value binary)"


def test_a_cell_can_hold_a_bar_and_an_angle() -> None:
    assert markdown_table(("a",), [("x | <y>",)]) == "| a |\n| --- |\n| x \\| \\<y> |\n"
