"""Network addresses: parse them, and see whether something listens there, and which process."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from lakehouse.errors import BrokerFailed, PortTaken

CONNECT_SECONDS = 2.0
PROC = Path("/proc")
# State of a listening socket in /proc/net/tcp.
LISTENING = "0A"
MAX_COMMAND = 60


def is_loopback(host: str) -> bool:
    """Return True for an address that only this machine can reach."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def server_addresses(servers: str) -> list[tuple[str, int]]:
    """Return the host and port of each server of a Kafka server list.

    Raises:
        BrokerFailed: A server is not written as host:port.
    """
    return [_server_address(server) for server in servers.split(",")]


def is_listening(host: str, port: int) -> bool:
    """Return True if something accepts TCP connections there; a refused connection is known at once."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def require_free_port(host: str, port: int, *, what: str, hint: str) -> None:
    """Raise if nothing can listen on the port.

    Args:
        host: The address.
        port: The port.
        what: The start of the error, such as "The API can't listen on"; the address follows.
        hint: How to use another port.

    Raises:
        PortTaken: Another process listens there; the error names it if the system reveals it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise port_taken(f"{what} {host}:{port}", error, port=port, hint=hint) from error


def other_port_hint(setting: str, port: int) -> str:
    """Return the hint for a taken port: the option, the variable and the argument of make that name another port.

    Args:
        setting: Name of the setting of the port.
        port: The port to propose; the next one at which nobody listens is taken.
    """
    while is_listening("127.0.0.1", port):
        port += 1
    name = setting.upper()
    option = setting.replace("_", "-")
    return f"Stop it, or use another port: `--{option} {port}`, LOGINLAKE_{name}={port}, or after `make` {name}={port}"


def port_taken(what: str, error: OSError, *, port: int, hint: str) -> PortTaken:
    """Return the error for a port that can't be used; it names the process that listens there, if that is known."""
    reason = f"{listening_process(port)} listens there" if error.errno == errno.EADDRINUSE else error.strerror
    return PortTaken(f"{what}: {reason}", hint=hint, port=port)


def listening_process(port: int) -> str:
    """Return the id and the command of the process that listens on a port of this machine.

    Return "another process" if they are unknown, because it belongs to another user, or the system is not Linux.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in PROC.glob("[0-9]*") if sockets else ():
        if sockets & _open_files(process):
            return f"process {process.name} ({_command(process)})"
    return "another process"


def _open_files(process: Path) -> set[str]:
    """Return what the files of a process refer to, as far as this user may read that."""
    found = set()
    with suppress(OSError):  # a process of another user, or one that has just ended
        for file in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                found.add(str(file.readlink()))
    return found


def _command(process: Path) -> str:
    """Return the command line of a process, shortened."""
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "ended"
    command = b" ".join(words).decode(errors="replace").strip()
    return command if len(command) <= MAX_COMMAND else f"{command[:MAX_COMMAND]}…"


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            return
        for line in lines:
            columns = line.split()
            local, state, inode = columns[1], columns[3], columns[9]
            if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                yield inode


def any_server_listens(servers: str) -> bool:
    """Return True if one of the servers listens; Kafka's client would need ten seconds to report that none does.

    Raises:
        BrokerFailed: A server is not written as host:port.
    """
    return any(is_listening(host, port) for host, port in server_addresses(servers))


def _server_address(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition("://")[2].strip().rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise BrokerFailed(
            f"{server!r} is not host:port of a Kafka server",
            hint="Write LOGINLAKE_KAFKA as 127.0.0.1:9092",
            kafka=server,
        )
    return host.strip("[]"), int(port)
