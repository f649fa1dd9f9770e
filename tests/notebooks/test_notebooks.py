from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SAID = {
    "batch": ["2000 rows appended, then 0", "src_ip,attempts,failures"],
    "streaming": ["the second stream took 200 records", "1000 rows at 1000 positions"],
    "time_travel": ["0 removed", "Nothing was published by", "snapshot 2: "],
}
PERCENT = re.compile(r"^# %%( \[markdown\])?$")
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/[A-Za-z]|[A-Z]:\\")

each_notebook = pytest.mark.parametrize("name", sorted(SAID))


def source(name: str) -> str:
    return (NOTEBOOKS / f"{name}.py").read_text()


def cells(text: str) -> list[tuple[str, str]]:
    """Kind and text of each cell; what stands before the first one must be the header alone."""
    header, *parts = re.split(r"^(# %%.*)\n", text, flags=re.MULTILINE)
    assert re.fullmatch(r"# ---\n(#.*\n)+# ---\n\s*", header)
    return list(zip(parts[::2], parts[1::2], strict=True))


def processes_that_name(folder: Path) -> list[str]:
    """The command lines that name a folder, as those of a broker and of Spark do."""
    command_lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command_lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has just ended
            continue
    return [line for line in command_lines if str(folder) in line]


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script as a new user does, with none of this machine's settings and a temporary folder of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOGINLAKE_")}
    return subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=kept | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_every_notebook_is_tested() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.py")) == sorted(SAID)


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
def test_a_notebook_names_no_absolute_path(name: str) -> None:
    assert not ABSOLUTE_PATH.search(source(name))


@pytest.mark.slow
@each_notebook
def test_a_notebook_holds_what_it_asserts_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    done = run(NOTEBOOKS / f"{name}.py", tmp_path)

    assert done.returncode == 0, done.stderr
    for words in SAID[name]:
        assert words in done.stdout
    assert processes_that_name(tmp_path) == []
    assert list(tmp_path.glob("loginlake-*")) == []


@pytest.mark.slow
def test_a_notebook_that_fails_halfway_leaves_nothing_behind(tmp_path: Path) -> None:
    start, _, _ = source("streaming").partition("## Send some records")
    script = tmp_path / "half.py"
    script.write_text(f"{start}\nassert False, 'halfway'\n")

    done = run(script, tmp_path)

    assert done.returncode == 1
    assert "halfway" in done.stderr
    assert processes_that_name(tmp_path) == []
    assert list(tmp_path.glob("loginlake-*")) == []
