"""Addresses of Kafka servers, and whether something listens there."""

from __future__ import annotations

import os
import socket

import pytest

from lakehouse.addresses import (
    any_server_listens,
    is_loopback,
    listening_process,
    other_port_hint,
    require_free_port,
    server_addresses,
)
from lakehouse.errors import BrokerFailed, PortTaken


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ("127.0.0.1:9092", [("127.0.0.1", 9092)]),
        ("a:1, b:2", [("a", 1), ("b", 2)]),
        ("SASL_SSL://kafka.example:9093", [("kafka.example", 9093)]),
        ("[::1]:9092", [("::1", 9092)]),
    ],
)
def test_servers_are_split_into_host_and_port(servers: str, expected: list[tuple[str, int]]) -> None:
    assert server_addresses(servers) == expected


@pytest.mark.parametrize("servers", ["", "localhost", "localhost:", ":9092", "a:b", "a:70000", "a:1,"])
def test_a_server_that_is_not_host_and_port_is_an_error_that_names_the_setting(servers: str) -> None:
    with pytest.raises(BrokerFailed, match=r"is not host:port of a Kafka server\. Write LOGINLAKE_KAFKA as"):
        server_addresses(servers)


def test_one_server_that_listens_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert any_server_listens(f"127.0.0.1:1,127.0.0.1:{port}")
    assert not any_server_listens(f"127.0.0.1:{port}")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_process_that_listens_on_a_port_is_named(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        assert listening_process(port).startswith(f"process {os.getpid()} (")
        with pytest.raises(PortTaken, match=rf"The API can't listen on {host}:{port}: process {os.getpid()} .*Try"):
            require_free_port(host, port, what="The API can't listen on", hint="Try another")
    assert listening_process(port) == "another process"
    require_free_port(host, port, what="The API can't listen on", hint="Try another")


@pytest.mark.parametrize(("host", "expected"), [("localhost", True), ("::1", True), ("192.0.2.1", False), ("a", False)])
def test_only_addresses_of_this_machine_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_hint_for_a_taken_port_proposes_one_at_which_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        hint = other_port_hint("kafka_port", port)

    assert f"KAFKA_PORT={port}" not in hint
    proposed = int(hint.rpartition("=")[2])
    assert proposed > port
