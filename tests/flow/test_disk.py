"""The broker's disk becomes full under load: lost records are counted, acknowledged ones are still there."""

from __future__ import annotations

import json
import random
from io import BytesIO
from pathlib import Path

import pytest

from lakehouse.errors import Undelivered
from lakehouse.settings import Settings
from loginlake.broker import embedded_broker
from producer.publish import publish
from producer.records import Record
from tests.conftest import a_free_port
from tests.mounts import fill, mounted
from tests.producer.conftest import read

pytestmark = pytest.mark.slow

MEGABYTES = 64
FREE_BYTES = 6 << 20
RECORDS = 20_000


def test_records_acknowledged_before_the_disk_was_full_are_there_after_a_restart(tmp_path: Path) -> None:
    rng = random.Random(1)
    # Incompressible: 20 MB of records for 6 MB of free space.
    records = (Record(None, rng.randbytes(1_000), [], b"e%d" % number) for number in range(RECORDS))
    ledger = BytesIO()
    with mounted(tmp_path / "disk", megabytes=MEGABYTES) as disk:
        settings = Settings(state=disk, kafka=f"127.0.0.1:{a_free_port()}", topic_partitions=4, _env_file=None)
        with embedded_broker(settings) as broker:
            publish([Record(None, b"first", [], b"first")], settings, ledger=ledger)
            filler = fill(disk, but=FREE_BYTES)
            with pytest.raises(Undelivered, match=r"\d+ of \d+ records were not delivered") as undelivered:
                publish(records, settings, ledger=ledger, timeout_seconds=10)
            assert broker.process.wait(60) != 0

        filler.unlink()
        acknowledged = [
            (entry["partition"], entry["offset"]) for entry in map(json.loads, ledger.getvalue().splitlines())
        ]
        with embedded_broker(settings):
            present = {(message.partition(), message.offset()) for message in read(settings, RECORDS)}

    assert undelivered.value.parts["lost"] == undelivered.value.parts["sent"] - (len(acknowledged) - 1)
    assert len(acknowledged) == len(set(acknowledged)) > 1
    assert present.issuperset(acknowledged)
