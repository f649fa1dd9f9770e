"""The embedded Kafka broker: one real broker (KRaft) on this machine, as a child process."""

from __future__ import annotations

import base64
import fcntl
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from lakehouse.conf import conf_folder
from lakehouse.errors import BrokerFailed, PortTaken
from lakehouse.jars import jar_paths
from lakehouse.java import java_path
from lakehouse.settings import Settings
from loginlake.subprocesses import child

log = structlog.get_logger()

START_SECONDS = 60.0
OTHER_PORT = (
    "End what listens there, or run `loginlake broker --kafka 127.0.0.1:9192` "
    "and set LOGINLAKE_KAFKA to that for all else"
)


@dataclass(frozen=True)
class Broker:
    """A running broker.

    Attributes:
        servers: What clients connect to.
        process: The broker's JVM.
    """

    servers: str
    process: subprocess.Popen[bytes]


@contextmanager
def embedded_broker(settings: Settings) -> Iterator[Broker]:
    """A broker at `settings.kafka` with its data in `STATE/broker`, stopped at the end of the block.

    Raises:
        PortTaken: Something listens at `settings.kafka` already, or has the port of the controller.
        BrokerFailed: Another one has its data, or it does not come up; its log is named.
        JavaMissing, JarsMissing: It can't be started.
    """
    refuse_taken(settings)
    host, port = _address(settings.kafka)
    folder = broker_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    refuse_used(settings)
    controller_port = _controller_port(folder)
    # The first of the JVM's compilers alone: a broker on a laptop starts sooner so, and takes records no slower.
    java = [str(java_path()), "-Xmx512m", "-Xms128m", "-XX:TieredStopAtLevel=1", *_class_path(settings)]
    properties = _write_properties(folder, host=host, port=port, controller_port=controller_port)
    _format_storage(java, folder, properties=properties)
    with child([*java, "kafka.Kafka", str(properties)], output=folder / "broker.out") as process:
        _await_listening(process, host, port=port, folder=folder)
        log.info("broker_started", servers=settings.kafka, pid=process.pid)
        yield Broker(settings.kafka, process)


def broker_folder(settings: Settings) -> Path:
    """Where the broker's data lie, and what it says."""
    return settings.state.resolve() / "broker"


def refuse_taken(settings: Settings) -> None:
    """Refuses the address of the broker where something listens there.

    Raises:
        PortTaken: Something does.
    """
    _refuse_taken(*_address(settings.kafka), hint=OTHER_PORT)


def refuse_used(settings: Settings) -> None:
    """Refuses data that a running broker has: a second one would write to its metadata before Kafka notices.

    Raises:
        BrokerFailed: A broker has them.
    """
    data = broker_folder(settings) / "data"
    try:
        lock = (data / ".lock").open("rb")
    except FileNotFoundError:  # no broker has ever had them
        return
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BrokerFailed(
                f"Another broker has the data in {data}", hint="End it, or set LOGINLAKE_STATE to another folder"
            ) from error


def _class_path(settings: Settings) -> list[str]:
    log4j = (conf_folder(settings) / "broker-log4j2.properties").as_uri()
    jars = os.pathsep.join(str(jar) for jar in jar_paths(settings, "broker"))
    return [f"-Dlog4j2.configurationFile={log4j}", "-cp", jars]


def _address(servers: str) -> tuple[str, int]:
    host, _, port = servers.partition(",")[0].rpartition(":")
    if not port.isdigit():
        raise BrokerFailed(f"{servers!r} is no host:port", hint="Correct LOGINLAKE_KAFKA", kafka=servers)
    return host, int(port)


def _refuse_taken(host: str, port: int, *, hint: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"The broker can't listen on {host}:{port} ({error.strerror})", hint=hint, port=port
            ) from error


def _controller_port(folder: Path) -> int:
    """The controller's port, chosen once: it is part of what the storage was formatted with.

    Raises:
        PortTaken: Something else has it just now.
    """
    kept = folder / "controller-port"
    chosen = kept.read_text() if kept.exists() else ""
    if not chosen:  # the first start, or the disk was full at the one before
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            chosen = str(probe.getsockname()[1])
        kept.write_text(chosen)
    _refuse_taken("127.0.0.1", int(chosen), hint=f"The data in {folder} name that port: wait, or end what has it")
    return int(chosen)


def _write_properties(folder: Path, *, host: str, port: int, controller_port: int) -> Path:
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "log.retention.hours": "-1",
    }
    path = folder / "server.properties"
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    return path


def _format_storage(java: list[str], folder: Path, *, properties: Path) -> None:
    if (folder / "data" / "meta.properties").exists():
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    formatted = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "--standalone", f"--cluster-id={cluster}", "-c", str(properties)],
        capture_output=True,
        text=True,
        check=False,
    )
    if formatted.returncode != 0:
        said = formatted.stderr.strip().rpartition("\n")[-1] or f"exit code {formatted.returncode}"
        raise BrokerFailed(
            f"The broker's storage in {folder} can't be formatted: {said}",
            hint=f"Check that {folder} can be written and has room",
        )


def _await_listening(process: subprocess.Popen[bytes], host: str, *, port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.1)
    ended = process.poll()
    how = f"within {START_SECONDS:g} s" if ended is None else f"and ended with exit code {ended}"
    raise BrokerFailed(
        f"The broker did not start listening on {host}:{port} {how}",
        hint=f"See why in {folder / 'broker.out'}",
    )
