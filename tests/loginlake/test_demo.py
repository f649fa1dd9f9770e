"""What `demo` and `up` look at before they start anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from lakehouse.errors import BrokerFailed
from lakehouse.settings import Settings
from loginlake.demo import running_parts


def test_a_named_broker_that_is_not_there_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, free_port: int, tmp_path: Path
) -> None:
    monkeypatch.setattr("lakehouse.kafka.TIMEOUT", 0.5)
    settings = Settings(kafka="127.0.0.1:1", port=free_port, state=tmp_path / "state", _env_file=None)

    with pytest.raises(BrokerFailed, match="correct LOGINLAKE_KAFKA"), running_parts(settings, Console()):
        pass
