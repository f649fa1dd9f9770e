from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.loginlake.processes import Loginlake


@pytest.fixture
def loginlake(tmp_path: Path) -> Loginlake:
    folder = tmp_path / "here"
    folder.mkdir()
    return Loginlake(folder)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
