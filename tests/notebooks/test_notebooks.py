"""The notebooks are percent scripts that run, print what their text announces, and leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from notebooks.sandbox import notebook_settings

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# Parts of the output of each notebook.
OUTPUTS = {
    "batch": ["2000 rows appended, then 0", "src_ip,attempts,failures"],
    "detections": ["high brute_force_ip of 203.0.113.9", "0 risks of 203.0.113.9 after the label"],
    "streaming": ["the second stream took 200 records", "1000 rows at 1000 positions"],
    "time_travel": ["0 removed", "Nothing was published by", "snapshot 2: "],
}
# Runs scripts one after another in one process, so that they share a JVM, and prints a line before each.
RUNNER = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
for script in sys.argv[2:]:
    print("## " + script, flush=True)
    runpy.run_path(script, run_name="__main__")
"""
PERCENT = re.compile(r"^# %%( \[markdown\])?$")
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/[A-Za-z]|[A-Z]:\\")

each_notebook = pytest.mark.parametrize("name", sorted(OUTPUTS))


def source(name: str) -> str:
    return (NOTEBOOKS / f"{name}.py").read_text()


def cells(text: str) -> list[tuple[str, str]]:
    """Return the kind and the text of each cell; only the header may stand before the first one."""
    header, *parts = re.split(r"^(# %%.*)\n", text, flags=re.MULTILINE)
    assert re.fullmatch(r"# ---\n(#.*\n)+# ---\n\s*", header)
    return list(zip(parts[::2], parts[1::2], strict=True))


def processes_that_name(folder: Path) -> list[str]:
    """Return the command lines that contain a folder, as those of a broker and of Spark do."""
    command_lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command_lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):  # the process has just ended
            continue
    return [line for line in command_lines if str(folder) in line]


def run(scripts: list[Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run scripts without this machine's settings, in a folder that is also their folder for temporary files."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOGINLAKE_")}
    return subprocess.run(
        [sys.executable, "-c", RUNNER, str(NOTEBOOKS), *map(str, scripts)],
        cwd=folder,
        env=kept | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_every_notebook_is_tested() -> None:
    notebooks = {path.stem for path in NOTEBOOKS.glob("*.py") if path.read_text().startswith("# ---\n")}
    assert notebooks == set(OUTPUTS)


@each_notebook
def test_a_notebook_is_a_percent_script_that_begins_with_a_title(name: str) -> None:
    text = source(name)
    compile(text, name, "exec")
    parts = cells(text)

    assert all(PERCENT.match(kind) for kind, _ in parts)
    assert parts[0][0] == "# %% [markdown]"
    assert parts[0][1].startswith("# # ")


@each_notebook
def test_text_cells_are_comments_and_code_cells_are_short(name: str) -> None:
    for kind, text in cells(source(name)):
        lines = [line for line in text.splitlines() if line.strip()]
        assert lines
        if kind.endswith("[markdown]"):
            assert all(line.startswith("#") for line in lines)
        else:
            assert len(lines) <= 15


@each_notebook
def test_a_notebook_contains_no_absolute_path(name: str) -> None:
    assert not ABSOLUTE_PATH.search(source(name))


@each_notebook
def test_one_variable_at_the_top_names_the_lake(name: str) -> None:
    first, second = (text for kind, text in cells(source(name))[1:3])

    assert first.strip() == "LAKE = None"
    assert "notebook_settings(LAKE)" in second


def test_a_lake_is_named_relative_to_the_notebooks_and_has_its_state_beside_it() -> None:
    with notebook_settings("../data/lake") as settings:
        assert Path(settings.root) == NOTEBOOKS.parent / "data/lake"
        assert settings.state == NOTEBOOKS.parent / "data/state"


@pytest.mark.slow
def test_the_notebooks_run_and_leave_neither_processes_nor_files(tmp_path: Path) -> None:
    scripts = {name: NOTEBOOKS / f"{name}.py" for name in OUTPUTS}

    ended = run([*scripts.values()], tmp_path)

    assert ended.returncode == 0, ended.stderr
    for name, parts in OUTPUTS.items():
        output = ended.stdout.partition(f"## {scripts[name]}\n")[2].partition("\n## ")[0]
        assert [part for part in parts if part not in output] == []
    assert processes_that_name(tmp_path) == []
    # A JVM creates the folder for scratch files of its first session again for later sessions, which is empty.
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_a_notebook_that_fails_halfway_leaves_nothing_behind(tmp_path: Path) -> None:
    start, _, _ = source("streaming").partition("## Send some records")
    script = tmp_path / "failing.py"
    script.write_text(f"{start}\nassert False, 'halfway'\n")

    ended = run([script], tmp_path)

    assert ended.returncode == 1
    assert "AssertionError: halfway" in ended.stderr
    assert processes_that_name(tmp_path) == []
    assert list(tmp_path.glob("loginlake-*")) == []
