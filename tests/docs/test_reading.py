"""The examples of `docs/reading.md` run as they are printed, on a small lake in the folder `data/lake`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import FENCE, ROOT
from tests.serving.lakes import publish_twice, settings_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PAGE = (ROOT / "docs/reading.md").read_text()


def python_of(heading: str) -> str:
    """Return the Python code under a heading of the page."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(text for language, text in FENCE.findall(section) if language == "python")


@pytest.fixture
def printed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A function that runs code in the folder that holds the lake, and returns what it prints."""
    publish_twice(settings_of(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(code: str, **names: object) -> str:
        capsys.readouterr()
        exec(compile(code, "docs/reading.md", "exec"), dict(names))  # noqa: S102 (our own page)
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("heading", "figures"),
    [
        ("Bronze at a snapshot", [["0", "8"]]),
        ("polars", [["failure", "7"], ["success", "1"]]),
        ("pandas", [["198.51.100.7", "4"], ["192.0.2.1", "3"]]),
        ("DuckDB", [["brute_force_ip", "high", "1"], ["accepted", "NULL", "8"]]),
    ],
)
def test_an_example_prints_the_figures_of_the_last_snapshot(printed_by, heading: str, figures: list[list[str]]) -> None:
    printed = printed_by(python_of("Open a snapshot") + python_of(heading))

    rows = [line.replace("│", " ").replace("┆", " ").split() for line in printed.splitlines()]
    assert [figure for figure in figures if figure not in rows] == []


def test_the_example_for_spark_prints_the_figures_of_the_last_snapshot(
    printed_by, spark: SparkSession, tmp_path: Path
) -> None:
    # Spark's JVM stays in the folder that it was started in.
    code = python_of("Spark").replace("data/lake", str(tmp_path / "data/lake"))

    printed = printed_by(code, spark=spark)

    assert [line.split("|")[1:3] for line in printed.splitlines() if "ure" in line or "ess" in line] == [
        ["failure", "         7"],
        ["success", "         1"],
    ]
