"""The broker's disk runs full under load: what was not taken is counted, and what was taken is there afterwards."""

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
LEFT = 6 << 20
RECORDS = 20_000


def test_what_the_broker_acknowledged_before_its_disk_was_full_is_there_when_it_has_room_again(tmp_path: Path) -> None:
    chance = random.Random(1)
    # Bytes that no compression makes smaller: 20 MB in all, for 6 MB of room.
    records = (Record(None, chance.randbytes(1_000), [], b"e%d" % number) for number in range(RECORDS))
    ledger = BytesIO()
    with mounted(tmp_path / "disk", megabytes=MEGABYTES) as disk:
        settings = Settings(state=disk, kafka=f"127.0.0.1:{a_free_port()}", topic_partitions=4, _env_file=None)
        with embedded_broker(settings) as broker:
            publish([Record(None, b"first", [], b"first")], settings, ledger=ledger)
            filler = fill(disk, but=LEFT)
            with pytest.raises(Undelivered, match=r"\d+ of \d+ records were not delivered") as told:
                publish(records, settings, ledger=ledger, timeout_seconds=10)
            assert broker.process.wait(60) != 0

        filler.unlink()
        acked = [(entry["partition"], entry["offset"]) for entry in map(json.loads, ledger.getvalue().splitlines())]
        with embedded_broker(settings):
            there = {(message.partition(), message.offset()) for message in read(settings, RECORDS)}

    assert told.value.parts["lost"] == told.value.parts["sent"] - (len(acked) - 1)
    assert len(acked) == len(set(acked)) > 1
    assert there.issuperset(acked)
