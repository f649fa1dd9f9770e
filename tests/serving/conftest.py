from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
import pytest
import uvicorn

from lakehouse.settings import Settings
from serving.app import create_app
from serving.fallback import FallbackStore
from tests.conftest import a_free_port
from tests.serving.lakes import SmallLake, publish_twice, settings_of

START_SECONDS = 60


class ApiClient(httpx.Client):
    """A client of an API in this process, and the store of that API."""

    def __init__(self, address: str, store: FallbackStore) -> None:
        super().__init__(base_url=address, timeout=30)
        self.store = store


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


@pytest.fixture(scope="session")
def api(published: Settings) -> Iterator[ApiClient]:
    """A client of an API over the published lake."""
    with served_here(published) as client:
        yield client


@contextmanager
def served_here(settings: Settings, *, lifespan: Literal["on", "off"] = "off") -> Iterator[ApiClient]:
    """Serve the API from a thread of this process.

    Without its lifespan it starts at once, polls no broker, and reads the lake again only when the test calls
    `client.store.refresh()`.
    """
    app = create_app(settings)
    if lifespan == "off":
        app.state.store.refresh()
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan=lifespan))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with ApiClient(f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.store) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serving(settings: Settings, *, port: int | None = None) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve the API from a process of its own, at the port or a free one; yield the process and its address."""
    port = port or a_free_port()
    environment = os.environ | {
        "LOGINLAKE_ROOT": settings.root,
        "LOGINLAKE_KAFKA": settings.kafka,
        "LOGINLAKE_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "serving"], env=environment, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_alive(process, address))
        yield process, address
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=START_SECONDS)


def is_alive(process: subprocess.Popen[bytes], address: str) -> bool:
    try:
        return httpx.get(f"{address}/livez").status_code == 200
    except httpx.TransportError:
        assert process.poll() is None, process.stderr.read().decode()
        return False


def wait_until(condition: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.05)
