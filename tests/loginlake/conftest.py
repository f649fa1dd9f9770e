from __future__ import annotations

import socket
from collections.abc import Iterator
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


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
