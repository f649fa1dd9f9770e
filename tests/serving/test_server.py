"""The API as a process: where it listens, and how it starts and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from lakehouse.errors import PortTaken, UsageError
from lakehouse.settings import Settings
from serving.server import listening_socket, refuse_open_door
from tests.serving.conftest import serving

WITHOUT_SPARK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "delta", "py4j"):
            raise ImportError(f"{name} is not in the serving extra")

sys.meta_path.insert(0, Blocked())
import serving.app, serving.server, serving.sql, loginlake.read
assert not {"pyspark", "delta", "py4j"} & set(sys.modules)
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_no_guard(host: str) -> None:
    refuse_open_door(Settings(host=host, _env_file=None))


@pytest.mark.parametrize("host", ["::", "192.0.2.1", "lake.example"])
def test_another_address_is_refused_unless_something_guards_the_door(host: str) -> None:
    with pytest.raises(UsageError, match="LOGINLAKE_OPEN=true"):
        refuse_open_door(Settings(host=host, _env_file=None))
    refuse_open_door(Settings(host=host, open=True, _env_file=None))


def test_a_taken_port_is_one_line_that_names_the_mend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = os.environ | {"LOGINLAKE_PORT": str(port)}
        process = subprocess.run([sys.executable, "-m", "serving"], env=environment, capture_output=True, check=False)

        assert process.returncode == PortTaken.exit_code
        assert process.stderr.decode().count("\n") == 1
        assert b"LOGINLAKE_PORT" in process.stderr
        with pytest.raises(PortTaken):
            listening_socket(Settings(port=port, _env_file=None))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly(published: Settings, number: signal.Signals) -> None:
    with serving(published) as (process, _):
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)

        assert process.returncode == 0
        assert b"Traceback" not in errors


def test_serving_and_the_read_verbs_import_without_spark() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_SPARK], check=True)
