"""What `demo` and `up` check before they start, create or send anything."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from deltalake import DeltaTable, Schema

from lakehouse.errors import BrokerFailed, LakehouseError, LockHeld, PortTaken, TopicChanged
from lakehouse.kafka import ensure_topic, has_topic, topic_id
from lakehouse.locks import lock_path, stack_lock
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS, TOPIC_ID
from loginlake.broker import broker_folder
from loginlake.doctor.finding import State
from loginlake.doctor.lake import check_locks
from loginlake.doctor.servers import check_kafka
from loginlake.preflight import check_startable
from tests.conftest import a_free_port
from tests.loginlake.command_line import Loginlake
from tests.loginlake.locked_files import locked_by_another_process
from tests.loginlake.test_cli import the_only_line

WRITERS = [["bronze"], ["silver"], ["gold"], ["refresh"], ["maintain"], ["rebuild", "gold"], ["redrive"]]


# Above the largest process id that Linux gives.
PID_OF_NO_PROCESS = 2**22 + 1


@pytest.fixture(autouse=True)
def _no_broker_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGINLAKE_KAFKA", raising=False)


def settings_with(folder: Path, **values: Any) -> Settings:
    """Settings of a lake in a folder, with free ports."""
    ports = {"port": a_free_port(), "kafka_port": a_free_port()}
    return Settings(_env_file=None, **{"root": str(folder / "lake"), "state": folder / "state", **ports, **values})


def read_bronze_from(settings: Settings, *, topic_id: str) -> None:
    """Create bronze as if it had been read from a topic with this id."""
    DeltaTable.create(
        settings.table_uri(RAW_LOGS.layer, RAW_LOGS.name),
        Schema.from_json(RAW_LOGS.schema_json()),
        configuration={f"{TOPIC_ID}{settings.topic}": topic_id},
        raise_if_key_not_exists=False,
    )


def refusal(settings: Settings) -> LakehouseError:
    """Return why the stack can't start; nothing of the lake is created."""
    with pytest.raises(LakehouseError) as refused:
        check_startable(settings)
    return refused.value


def test_an_empty_lake_with_free_ports_can_start_and_is_not_created(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)

    check_startable(settings)

    assert not Path(settings.root).exists()


@pytest.mark.parametrize("name", ["stack", "bronze", "refresh"])
def test_a_held_lock_is_reported_first(tmp_path: Path, taken_port: int, name: Any) -> None:
    settings = settings_with(tmp_path, port=taken_port)

    with locked_by_another_process(lock_path(settings, name)):
        assert isinstance(refusal(settings), LockHeld)


def test_a_second_stack_on_the_same_lake_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    with stack_lock(settings):
        description = lock_path(settings, "stack").read_text()

    with locked_by_another_process(lock_path(settings, "stack")):
        with pytest.raises(LockHeld, match=rf"is in use by up or demo since .*process {os.getpid()}"):
            check_startable(settings)
        with pytest.raises(LockHeld), stack_lock(settings):
            pass
        assert lock_path(settings, "stack").read_text() == description


@pytest.mark.parametrize("holder", [{"is_maintenance": True}, {"pid": PID_OF_NO_PROCESS, "host": socket.gethostname()}])
def test_maintenance_and_a_killed_writer_whose_jvm_still_ends_are_not_in_the_way(
    tmp_path: Path, holder: dict[str, Any]
) -> None:
    settings = settings_with(tmp_path)
    lock = lock_path(settings, "refresh")

    with locked_by_another_process(lock):
        lock.write_text(json.dumps(holder))
        check_startable(settings)


def test_a_taken_port_of_the_api_names_the_process_and_a_way_out(tmp_path: Path, taken_port: int) -> None:
    refused = refusal(settings_with(tmp_path, port=taken_port))

    assert isinstance(refused, PortTaken)
    assert f"process {os.getpid()} (" in refused.what
    assert "after `make` PORT=8080" in refused.hint


def test_a_taken_port_of_the_broker_names_the_process_and_a_way_out(tmp_path: Path, taken_port: int) -> None:
    refused = refusal(settings_with(tmp_path, kafka_port=taken_port))

    assert isinstance(refused, PortTaken)
    assert f"process {os.getpid()} (" in refused.what
    assert "after `make` KAFKA_PORT=9192" in refused.hint


def test_data_that_a_running_broker_uses_is_reported(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)

    with locked_by_another_process(broker_folder(settings) / "data" / ".lock"):
        assert refusal(settings).what.startswith("Another broker uses the data")


def test_a_given_broker_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    refused = refusal(settings_with(tmp_path, kafka="127.0.0.1:1"))

    assert isinstance(refused, BrokerFailed)
    assert "correct LOGINLAKE_KAFKA" in refused.hint


def test_the_broker_that_the_lake_was_read_from_is_accepted(tmp_path: Path, kafka: str) -> None:
    settings = settings_with(tmp_path, kafka=kafka, topic=f"ours-{uuid4().hex[:8]}")
    ensure_topic(settings)
    read_bronze_from(settings, topic_id=topic_id(settings))

    check_startable(settings)

    assert check_kafka(settings)[0].state is State.OK


@pytest.mark.parametrize("has_a_topic", [True, False])
def test_the_broker_of_another_lake_is_refused_and_gets_no_topic(tmp_path: Path, kafka: str, has_a_topic: bool) -> None:
    settings = settings_with(tmp_path, kafka=kafka, topic=f"theirs-{uuid4().hex[:8]}")
    read_bronze_from(settings, topic_id="another")
    if has_a_topic:
        ensure_topic(settings)

    refused = refusal(settings)
    found, _ = check_kafka(settings)

    assert isinstance(refused, TopicChanged)
    assert "start a new lake" in refused.hint
    assert (found.state, found.hint) == (State.FAIL, refused.hint)
    assert found.what.startswith("not this lake's broker")
    assert has_topic(settings) is has_a_topic


def test_a_broker_on_the_port_of_the_embedded_one_is_a_warning_that_names_the_way_out(
    tmp_path: Path, kafka: str
) -> None:
    found, _ = check_kafka(settings_with(tmp_path, kafka_port=int(kafka.rpartition(":")[2])))

    assert found.state is State.WARN
    assert "where `demo` and `up` start their own" in found.what
    assert "after `make` KAFKA_PORT=9192" in found.hint


def test_the_doctor_names_the_job_that_writes_the_lake(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    assert [found.state for found in check_locks(settings)] == [State.OK]

    with locked_by_another_process(lock_path(settings, "bronze")):
        (found,) = check_locks(settings)

    assert found.state is State.WARN
    assert "lock of bronze" in found.what


@pytest.mark.parametrize(("name", "who"), [("stack", "`up` or `demo`"), ("refresh", "`refresh`")])
def test_a_running_job_is_no_fault_for_the_doctor(tmp_path: Path, name: Any, who: str) -> None:
    settings = settings_with(tmp_path)
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": "2026-03-02T08:00:00+00:00"}

    with locked_by_another_process(lock_path(settings, name)):
        lock_path(settings, name).write_text(json.dumps(holder))
        (found,) = check_locks(settings)

    assert found.state is State.OK
    assert found.what.startswith(f"{who} (process {os.getpid()} on ")


@pytest.mark.parametrize("words", WRITERS, ids=" ".join)
def test_a_job_reports_a_held_lock_before_spark_starts(
    loginlake: Loginlake, empty_folder: Path, words: list[str]
) -> None:
    started = time.monotonic()
    name = "bronze" if words == ["bronze"] else "refresh"

    with locked_by_another_process(empty_folder / "lake" / "_locks" / f"{name}.lock"):
        line = the_only_line(loginlake(*words, "--root", "lake"))

    assert f"lock of {name}" in line
    assert time.monotonic() - started < 10
