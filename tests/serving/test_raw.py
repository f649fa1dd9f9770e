"""Bytes that no regular client sends, and clients that disconnect before their answer."""

from __future__ import annotations

import socket
import struct

import httpx
import pytest

IPS = b"/v1/metrics/ip_activity"
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def request(target: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: lake", b"Connection: close", *headers, b"", b""])


def answered(client: httpx.Client, sent: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to those bytes."""
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=30) as connection:
        connection.sendall(sent)
        got = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


MALFORMED = {
    "a name of 64 KiB": (request(b"/v1/tables/" + b"x" * 65_536), 404),
    "a metric of 64 KiB": (request(b"/v1/metrics/" + b"x" * 65_536), 404),
    "a detection of 64 KiB": (request(b"/v1/detections/" + b"x" * 65_536), 404),
    "a filter of 64 KiB": (request(IPS + b"?src_ip=" + b"x" * 65_536), 200),
    "a parameter of 64 KiB": (request(IPS + b"?" + b"x" * 65_536 + b"=1"), 400),
    "a version of 64 KiB": (request(b"/v1/tables/silver.events/rows?version=" + b"9" * 65_536), 422),
    "an instant of 64 KiB": (request(IPS + b"?as_of=" + b"9" * 65_536), 422),
    "a header of 100 KiB": (request(b"/livez", b"X-Long: " + b"y" * 102_400), 200),
    "%2e%2e": (request(b"/v1/tables/%2e%2e/%2e%2e/etc/passwd"), 404),
    "../": (request(b"/v1/tables/../../../etc/passwd"), 404),
    "a single %": (request(b"/v1/tables/%"), 404),
    "bytes that are not UTF-8": (request(b"/v1/tables/%ff%fe"), 404),
    "a surrogate": (request(b"/v1/detections/%ed%a0%80"), 404),
    "a filter that is not UTF-8": (request(IPS + b"?src_ip=%ff"), 200),
    "NUL": (request(b"/v1/tables/\0"), 400),
    "a raw letter": (request("/v1/tables/é".encode()), 400),
    "Accept in bytes": (request(IPS, b"Accept: \xff\xfe"), 406),
    "a malformed Range": (request(IPS, b"Range: bytes=9-1,-,x"), 200),
    "an If-None-Match in bytes": (request(IPS, b"If-None-Match: \xff"), 200),
    "two hosts": (request(b"/livez", b"Host: other"), 400),
    "a body": (request(b"/livez", b"Content-Length: 5") + b"hello", 200),
    "a negative length": (request(b"/livez", b"Content-Length: -5"), 400),
    "an address as the path": (request(b"http://other/livez"), 404),
    "not HTTP": (b"garbage\r\n\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_requests_are_answered_and_the_server_continues(api: httpx.Client, sent: bytes, status: int) -> None:
    found, body = answered(api, sent)

    assert found == status
    assert len(body) < 2_500
    assert api.get("/livez").status_code == 200


def test_clients_that_disconnect_during_an_answer_cause_no_error(
    api: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    everything = b"/v1/tables/silver.events/rows?limit=10000"
    for taken in (0, 1, 20):
        with socket.create_connection(("127.0.0.1", api.base_url.port)) as connection:
            # Closing it resets the connection during the answer.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            connection.sendall(request(everything))
            connection.recv(taken)
    with socket.create_connection(("127.0.0.1", api.base_url.port)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHos")

    assert api.get(everything.decode()).status_code == 200
    assert "request_failed" not in capfd.readouterr().out
