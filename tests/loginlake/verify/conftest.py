from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.settings import Settings
from loginlake.verify import Report, VerifyOptions, verify
from serving.store import Store
from tests.loginlake.verify.lakes import a_healthy_lake
from tests.serving.lakes import settings_of

Verified = Callable[..., Report]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that no test changes."""
    folder = tmp_path_factory.mktemp("healthy")
    a_healthy_lake(settings_of(folder))
    return folder


@pytest.fixture
def settings(healthy: Path, tmp_path: Path) -> Settings:
    """A copy of the healthy lake, without a broker."""
    shutil.copytree(healthy / "lake", tmp_path / "lake")
    return settings_of(tmp_path)


@pytest.fixture
def verified(settings: Settings) -> Verified:
    """What verify says of the lake."""

    def verified(**wishes: Any) -> Report:
        return verify(settings, Store(settings), wish=VerifyOptions(**wishes))

    return verified
