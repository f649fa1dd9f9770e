from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from lakehouse.settings import Settings
from serving.app import create_app
from tests.conftest import a_free_port
from tests.serving.lakes import SmallLake, publish_twice, settings_of

START_SECONDS = 60


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def lake(settings: Settings) -> SmallLake:
    return SmallLake(settings)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake with two snapshots that no test changes."""
    settings = settings_of(tmp_path_factory.mktemp("published"))
    publish_twice(settings)
    return settings


@contextmanager
def serving(settings: Settings, *, port: int | None = None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server process of its own over the lake, at that port or a free one, and its address."""
    port = port or a_free_port()
    environment = os.environ | {
        "LOGINLAKE_ROOT": settings.root,
        "LOGINLAKE_KAFKA": settings.kafka,
        "LOGINLAKE_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "serving"], env=environment, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_alive(process, address)
        yield process, address
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_SECONDS)


def wait_until_alive(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{address}/livez")
        except httpx.TransportError:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server did not start")


@contextmanager
def served_here(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a server in a thread of this process, which starts at once and looks for no broker."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, access_log=False, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def api(published: Settings) -> Iterator[httpx.Client]:
    """A client of a real server over the published lake."""
    with serving(published) as (_, address), httpx.Client(base_url=address) as client:
        yield client
