"""The embedded Kafka broker: a real broker (KRaft) on this machine, as a child process."""

from __future__ import annotations

import base64
import fcntl
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from lakehouse.addresses import is_listening, other_port_hint, require_free_port, server_addresses
from lakehouse.conf import conf_folder
from lakehouse.errors import BrokerFailed
from lakehouse.jars import jar_paths
from lakehouse.java import java_path
from lakehouse.settings import Settings
from lakehouse.waiting import wait_until
from loginlake.subprocesses import child

log = structlog.get_logger()

START_SECONDS = 60.0


@dataclass(frozen=True)
class Broker:
    """A running broker.

    Attributes:
        servers: Addresses that clients connect to.
        process: The broker's JVM.
    """

    servers: str
    process: subprocess.Popen[bytes]


@contextmanager
def embedded_broker(settings: Settings) -> Iterator[Broker]:
    """Run a broker at LOGINLAKE_KAFKA for the block, with its data in `STATE/broker`.

    Raises:
        PortTaken: Another process listens there already, or on the controller's port.
        BrokerFailed: Another broker uses the data, or this one does not start; the message names its log.
        JavaMissing, JarsMissing: The broker can't be started.
    """
    check_port_free(settings)
    host, port = server_addresses(settings.kafka)[0]
    folder = broker_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    check_data_unused(settings)
    controller_port = _controller_port(folder)
    # With only the first of the JVM's compilers the broker starts sooner, and it accepts records no slower.
    java = [str(java_path()), "-Xmx512m", "-Xms128m", "-XX:TieredStopAtLevel=1", *_class_path(settings)]
    properties = _write_properties(folder, host=host, port=port, controller_port=controller_port)
    _format_storage(java, folder, properties=properties)
    with child([*java, "kafka.Kafka", str(properties)], output=folder / "broker.out") as process:
        _wait_until_listening(process, host, port=port, folder=folder)
        log.info("broker_started", servers=settings.kafka, pid=process.pid)
        yield Broker(settings.kafka, process)


def broker_folder(settings: Settings) -> Path:
    """Return the folder of the broker's data and log."""
    return settings.state.resolve() / "broker"


def check_port_free(settings: Settings) -> None:
    """Raise if the broker can't listen on its address.

    Raises:
        PortTaken: Another process listens there; the error names it if the system reveals it.
    """
    host, port = server_addresses(settings.kafka)[0]
    require_free_port(host, port, what="The broker can't listen on", hint=other_broker_port(settings))


def other_broker_port(settings: Settings) -> str:
    """Return the hint for a taken port: how to run the broker on another one."""
    if settings.kafka_is_given:
        return "Stop it, or name another address: `--kafka 127.0.0.1:9192`, LOGINLAKE_KAFKA=127.0.0.1:9192"
    return other_port_hint("kafka_port", 9192)


def check_data_unused(settings: Settings) -> None:
    """Raise if a running broker uses the data; a second one would write to its metadata before Kafka notices.

    Raises:
        BrokerFailed: A running broker uses them.
    """
    data = broker_folder(settings) / "data"
    try:
        lock = (data / ".lock").open("rb")
    except FileNotFoundError:  # no broker has used the folder yet
        return
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BrokerFailed(
                f"Another broker uses the data in {data}", hint="Stop it, or set LOGINLAKE_STATE to another folder"
            ) from error


def _class_path(settings: Settings) -> list[str]:
    log4j = (conf_folder(settings) / "broker-log4j2.properties").as_uri()
    jars = os.pathsep.join(str(jar) for jar in jar_paths(settings, "broker"))
    return [f"-Dlog4j2.configurationFile={log4j}", "-cp", jars]


def _controller_port(folder: Path) -> int:
    """Return the controller's port, which is chosen once and kept: the formatted storage names it.

    Raises:
        PortTaken: Another process listens on it.
    """
    kept = folder / "controller-port"
    chosen = kept.read_text() if kept.exists() else ""
    if not chosen:  # the first start, or the disk was full during the last one
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            chosen = str(probe.getsockname()[1])
        kept.write_text(chosen)
    hint = f"Stop what listens there: the broker must keep this port, which {folder / 'controller-port'} records"
    require_free_port("127.0.0.1", int(chosen), what="The broker's controller can't listen on", hint=hint)
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
        reason = formatted.stderr.strip().rpartition("\n")[-1] or f"exit code {formatted.returncode}"
        raise BrokerFailed(
            f"The broker's storage in {folder} can't be formatted: {reason}",
            hint=f"Check that {folder} is writable and has free space",
        )


def _wait_until_listening(process: subprocess.Popen[bytes], host: str, *, port: int, folder: Path) -> None:
    wait_until(lambda: process.poll() is not None or is_listening(host, port), seconds=START_SECONDS)
    exit_code = process.poll()
    if exit_code is None and is_listening(host, port):
        return
    how = f"within {START_SECONDS:g} s" if exit_code is None else f"and ended with exit code {exit_code}"
    raise BrokerFailed(
        f"The broker did not start listening on {host}:{port} {how}",
        hint=f"Read the reason in {folder / 'broker.out'}",
    )
