"""Logs: how an event is written."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator

import pytest
import structlog

from lakehouse.logs import configure_logs
from tests.loginlake.command_line import Terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def same_configuration() -> Iterator[None]:
    """Configure structlog after the test as it was before."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def written(output: io.TextIOWrapper) -> str:
    configure_logs(output)
    structlog.get_logger().info("request", method="GET", status=200, request_id="a")
    output.flush()
    assert isinstance(output.buffer, io.BytesIO)
    return output.buffer.getvalue().decode()


def test_an_event_on_a_terminal_has_the_time_and_its_fields_in_their_order() -> None:
    line = COLOUR.sub("", written(Terminal(io.BytesIO())))

    assert re.fullmatch(r"\d\d:\d\d:\d\dZ \[info +\] request method=GET status=200 request_id=a\n", line)


def test_an_event_elsewhere_is_a_line_of_json() -> None:
    event = json.loads(written(io.TextIOWrapper(io.BytesIO())))

    assert (event["event"], event["status"], event["level"]) == ("request", 200, "info")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event["timestamp"])
