"""The recipes of `docs/howto.md` work as they are printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.recipes import apply, blocks

CODE = ("conf", "lakehouse", "producer", "bronze", "silver", "gold", "serving", "loginlake", "tests")
# What else must hold for a metric and a rule.
EXISTING_TESTS = ("tests/gold/test_metrics.py", "tests/gold/rules/test_rules.py")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the code."""
    for name in CODE:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "lakes"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_recipes_pass_their_tests_and_the_existing_ones(clone: Path) -> None:
    recipes = blocks()
    for block in recipes:
        apply(block, clone)
    written = [block.file for block in recipes if Path(block.file).name.startswith("test_")]

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not spark", *written, *EXISTING_TESTS],
        cwd=clone,
        env=os.environ | {"PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert len(written) == 3
    assert ended.returncode == 0, ended.stdout + ended.stderr
