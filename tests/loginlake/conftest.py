from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import a_free_port
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.serving.lakes import publish_twice, settings_of


@pytest.fixture(scope="session")
def two_snapshots(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The root of a lake with two snapshots, for tests that only read."""
    settings = settings_of(tmp_path_factory.mktemp("read"))
    publish_twice(settings)
    return settings.root


@pytest.fixture
def empty_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def loginlake(empty_folder: Path) -> Loginlake:
    """The command line, run in this process."""
    return Loginlake(empty_folder)


@pytest.fixture
def loginlake_process(empty_folder: Path) -> LoginlakeProcess:
    """The command line, run as a process."""
    return LoginlakeProcess(empty_folder)


@pytest.fixture
def free_port() -> int:
    return a_free_port()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
