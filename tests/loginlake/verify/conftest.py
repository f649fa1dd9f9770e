from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS
from loginlake.verify import Report, VerifyOptions, verify
from serving.store import Store
from tests.loginlake.verify.lakes import HandmadeLake, a_healthy_lake
from tests.serving.lakes import settings_of

Verified = Callable[..., Report]


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake without faults and without a broker; tests only read it."""
    settings = settings_of(tmp_path_factory.mktemp("healthy"))
    a_healthy_lake(settings)
    return settings


@pytest.fixture(scope="session")
def healthy_report(healthy: Settings) -> Report:
    """The deep verification of the healthy lake."""
    return verify(healthy, Store(healthy), options=VerifyOptions(is_deep=True))


@pytest.fixture
def settings(healthy: Settings, tmp_path: Path) -> Settings:
    """A copy of the healthy lake, which the test may damage."""
    shutil.copytree(healthy.root, tmp_path / "lake")
    return settings_of(tmp_path)


@pytest.fixture
def lake(settings: Settings) -> HandmadeLake:
    """Writes to the copy."""
    lake = HandmadeLake(settings)
    lake.raw = pl.read_delta(lake.uri(RAW_LOGS)).to_dicts()
    return lake


@pytest.fixture
def verified(settings: Settings) -> Verified:
    """Verifies the copy."""

    def verified(**options: Any) -> Report:
        return verify(settings, Store(settings), options=VerifyOptions(**options))

    return verified
