from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import a_free_port
from tests.loginlake.processes import Loginlake


@pytest.fixture
def loginlake(tmp_path: Path) -> Loginlake:
    folder = tmp_path / "here"
    folder.mkdir()
    return Loginlake(folder)


@pytest.fixture
def free_port() -> int:
    return a_free_port()
