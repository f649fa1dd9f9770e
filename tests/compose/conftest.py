from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

CLONE = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def services() -> dict[str, dict[str, Any]]:
    """Return the services of the compose file by name."""
    return read_services()


def read_services() -> dict[str, dict[str, Any]]:
    return YAML(typ="safe").load(CLONE / "docker-compose.yml")["services"]


def service_named(name: str) -> dict[str, Any]:
    return read_services()[name]
