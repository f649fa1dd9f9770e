"""Network addresses: parse them, and see whether something listens there."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from lakehouse.errors import BrokerFailed

CONNECT_SECONDS = 2.0


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
