"""Ctrl-C under load: all ends by itself, cleanly, and nothing in flight is lost. SIGTERM: see tests/compose."""

from __future__ import annotations

import signal

import pytest

from bronze.stream import ingest_once
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from loginlake.pipeline import refresh
from loginlake.verify import verify
from serving.store import Store
from tests.kills.conftest import Stage
from tests.kills.oracle import tally
from tests.kills.points import Sight
from tests.kills.processes import is_free
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.flow


def test_everything_in_one_process_is_proven_while_it_writes_and_ends_at_ctrl_c_with_its_api(stage: Stage) -> None:
    sight = Sight(stage.settings)
    with stage.running("up") as everything:
        for table in (RAW_LOGS, SNAPSHOTS):
            wait_until(lambda table=table: sight.committed_at(table) > 0, everything)
        assert verify(stage.settings, Store(stage.settings)).ok
        everything.send_signal(signal.SIGINT)

        assert everything.wait(PATIENCE_SECONDS) == 0, stage.said("up")
    assert is_free(stage.settings.port)
    assert "Exception" not in stage.said("up")
    assert "Traceback" not in stage.said("up")

    acked = stage.acked()
    ingest_once(stage.lake)
    refresh(stage.lake)
    tallied = tally(stage.settings, acked)
    assert tallied.is_complete, tallied
    assert verify(stage.settings, Store(stage.settings)).ok
