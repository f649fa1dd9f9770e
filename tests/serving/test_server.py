"""The API as a process: where it listens, and how it starts and stops."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from lakehouse.errors import LakeMissing, PortTaken, UsageError
from lakehouse.settings import Settings
from serving.parameters import LARGEST_LIMIT
from serving.server import listening_socket, require_loopback, serve
from tests.conftest import a_free_port
from tests.serving.conftest import served_here, serving
from tests.serving.lakes import SmallLake, a_login

IMPORT_WITHOUT_SPARK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "delta", "py4j"):
            raise ImportError(f"{name} is not in the serving extra")

sys.meta_path.insert(0, Blocked())
import serving.app, serving.server, serving.sql, loginlake.commands.query
assert not {"pyspark", "delta", "py4j"} & set(sys.modules)
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_a_loopback_address_is_allowed(host: str) -> None:
    require_loopback(Settings(host=host, _env_file=None))


@pytest.mark.parametrize("host", ["::", "192.0.2.1", "lake.example"])
def test_another_address_is_refused_unless_unauthenticated_access_is_allowed(host: str) -> None:
    with pytest.raises(UsageError, match="LOGINLAKE_ALLOW_UNAUTHENTICATED=true"):
        serve(Settings(host=host, _env_file=None))
    require_loopback(Settings(host=host, allow_unauthenticated=True, _env_file=None))


def test_a_taken_port_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{port}: process .*LOGINLAKE_PORT"):
            serve(Settings(root=str(tmp_path), port=port, _env_file=None))


def test_a_folder_that_does_not_exist_is_refused_and_not_created(settings: Settings) -> None:
    with pytest.raises(LakeMissing, match=f"{settings.root} does not exist. Name the lake with --root"):
        serve(settings)
    assert not Path(settings.root).exists()


def test_a_lake_without_a_snapshot_is_not_ready_and_named(settings: Settings) -> None:
    with served_here(settings) as api:
        answer = api.get("/readyz")

    assert answer.status_code == 503
    assert f"{settings.root} has no snapshot" in answer.json()["detail"]
    assert "--root" in answer.json()["hint"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_once_the_answer_that_is_being_sent_is_complete(
    lake: SmallLake, settings: Settings, number: signal.Signals
) -> None:
    lake.publish([a_login(offset) for offset in range(LARGEST_LIMIT)], [])
    with serving(settings) as (process, address), slow_reader(address) as answer:
        answer.begin()  # the headers have arrived, and the body is larger than the buffers of the system
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)

        rows = json.loads(answer.read())["data"]
        _, errors = process.communicate(timeout=30)

    assert answer.status == 200
    assert len(rows) == LARGEST_LIMIT
    assert process.returncode == 0
    assert b"Traceback" not in errors


@contextmanager
def slow_reader(address: str) -> Iterator[HTTPResponse]:
    """Request all rows of silver, and read nothing ahead of the test."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        path = f"/v1/tables/silver.events/rows?limit={LARGEST_LIMIT}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        with HTTPResponse(client) as answer:
            yield answer


def test_on_a_terminal_a_sentence_says_where_the_server_answers(published: Settings) -> None:
    port = a_free_port()
    environment = os.environ | {
        "LOGINLAKE_ROOT": published.root,
        "LOGINLAKE_KAFKA": published.kafka,
        "LOGINLAKE_PORT": str(port),
        "COLUMNS": "200",
    }
    own, its = pty.openpty()
    with (
        os.fdopen(own, "rb", buffering=0) as terminal,
        subprocess.Popen([sys.executable, "-m", "serving"], env=environment, stderr=its) as process,
    ):
        os.close(its)
        try:
            printed = terminal.read(1000).decode()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    url = f"http://127.0.0.1:{port}"
    assert printed == f"The API answers at {url} and is documented at {url}/docs ; Ctrl-C stops it\r\n"


def test_a_signal_right_before_the_server_runs_stops_it(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run, stopped = uvicorn.Server.run, []

    def run_after_signal(server: uvicorn.Server, **options: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        stopped.append(server.should_exit)
        server.should_exit = True  # or a fault would keep the test waiting
        run(server, **options)

    monkeypatch.setattr(uvicorn.Server, "run", run_after_signal)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        serve(published.model_copy(update={"port": a_free_port()}))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert stopped == [True]


@pytest.mark.slow
def test_a_killed_server_frees_its_port_and_serves_the_same_rows_again(published: Settings) -> None:
    port, answers = a_free_port(), []
    settings = published.model_copy(update={"port": port})
    for _ in range(2):
        with serving(settings, port=port) as (process, address):
            answers.append(httpx.get(f"{address}/v1/metrics/ip_activity?every=day&order_by=src_ip").json()["data"])
            process.kill()
            process.wait()
        listening_socket(settings).close()

    assert answers[0] == answers[1] != []


def test_serving_and_the_read_commands_import_without_spark() -> None:
    subprocess.run([sys.executable, "-c", IMPORT_WITHOUT_SPARK], check=True)
