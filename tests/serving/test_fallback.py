"""The state that the API reads: a thread keeps it up to date, and no request waits for the lake."""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.errors import LakeUnreadable
from lakehouse.settings import Settings
from lakehouse.tables.metrics import IP_ACTIVITY
from serving import fallback
from serving.fallback import FallbackStore
from serving.problems import NotReady
from tests.damage import flip, newest_file
from tests.serving.conftest import served_here, wait_until
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_login

IPS = "/v1/metrics/ip_activity"
WELL_ABOVE_A_POLL = 10


def test_an_empty_lake_is_not_ready_on_every_path_that_reads_a_snapshot(settings: Settings) -> None:
    with served_here(settings) as client:
        answers = [client.get(path) for path in ("/readyz", IPS, "/v1/detections", "/v1/freshness", "/v1/snapshots/1")]
        listed = client.get("/v1/snapshots").json()["data"]

    assert {(answer.status_code, answer.json()["type"]) for answer in answers} == {(503, "/docs/problems#not-ready")}
    assert all("loginlake refresh" in answer.json()["hint"] for answer in answers)
    assert listed == []


def test_publications_that_could_never_be_read_are_an_error(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [])
    log = Path(settings.table_uri("gold", "snapshots")) / "_delta_log" / "00000000000000000000.json"
    log.write_text("garbage{")
    store = FallbackStore(settings)

    assert not store.refresh().is_ready
    for read in (store.snapshots, store.snapshot):
        with pytest.raises(LakeUnreadable, match=r"gold\.snapshots"):
            read()


def test_the_state_changes_only_when_it_is_refreshed(settings: Settings, lake: SmallLake) -> None:
    store = FallbackStore(settings)
    with pytest.raises(NotReady, match="loginlake refresh"):
        store.snapshot()
    first = lake.publish([a_login(0)], [])
    store.refresh()
    second = lake.publish([a_login(1)], [], FIRST_PUBLISHED + timedelta(hours=1))

    assert (store.snapshot(), store.snapshots()) == (first, (first,))
    store.refresh()
    assert (store.snapshot(), store.snapshots()) == (second, (first, second))


def test_a_lake_that_is_repaired_is_ready_again(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [])
    file = newest_file(Path(settings.table_uri("gold", "ip_activity")))
    backup = shutil.copy(file, file.parents[3] / "backup")
    store = FallbackStore(settings)

    file.unlink()
    assert "gold.ip_activity" in str(store.refresh().damage)
    shutil.copy(backup, file)
    assert store.refresh().damage is None


def test_a_publication_and_damage_are_seen_by_the_running_api_itself(settings: Settings, lake: SmallLake) -> None:
    lake.publish([a_login(0)], [])
    with served_here(settings, lifespan="on") as client:
        assert client.get("/readyz").json() == {"status": "ready", "snapshot": 1}

        lake.publish([a_login(1)], [], FIRST_PUBLISHED + timedelta(hours=1))
        wait_until(lambda: client.get(IPS).headers["Loginlake-Snapshot"] == "2", seconds=WELL_ABOVE_A_POLL)

        file = newest_file(Path(settings.table_uri("gold", "ip_activity")))
        flip(file, file.stat().st_size - 1)
        assert client.get(IPS).status_code == 503
        wait_until(lambda: client.get(IPS).status_code == 200, seconds=WELL_ABOVE_A_POLL)
        assert client.get("/readyz").json()["status"] == "degraded"
        assert client.get(IPS).headers["Loginlake-Snapshot"] == "1"


def test_requests_are_answered_while_the_lake_does_not_answer(
    settings: Settings, lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.publish([a_login(0)], [])
    is_reading, may_continue = threading.Event(), threading.Event()

    def slow_read(_: DeltaTable) -> None:
        is_reading.set()
        may_continue.wait()

    with served_here(settings) as client:
        monkeypatch.setattr(DeltaTable, "update_incremental", slow_read)
        refresh = threading.Thread(target=client.store.refresh)
        refresh.start()
        try:
            assert is_reading.wait(timeout=WELL_ABOVE_A_POLL)
            answers = [client.get(path, timeout=5).status_code for path in ("/readyz", IPS, "/v1/snapshots")]
        finally:
            may_continue.set()
            refresh.join()

    assert answers == [200, 200, 200]


def test_an_api_whose_lake_has_not_answered_for_long_is_degraded(
    settings: Settings, lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.publish([a_login(0)], [])
    may_continue = threading.Event()
    monkeypatch.setattr(fallback, "STALE_SECONDS", 1)
    with served_here(settings, lifespan="on") as client:
        assert client.get("/readyz").json()["status"] == "ready"
        monkeypatch.setattr(DeltaTable, "update_incremental", lambda _: may_continue.wait())
        try:
            wait_until(lambda: client.get("/readyz").json()["status"] == "degraded", seconds=WELL_ABOVE_A_POLL)
            assert "has not answered for 1 seconds" in client.get("/readyz").json()["detail"]
            assert client.get(IPS).status_code == 200
        finally:
            may_continue.set()
        wait_until(lambda: client.get("/readyz").json()["status"] == "ready", seconds=WELL_ABOVE_A_POLL)


def test_an_unexpected_error_degrades_the_api_until_the_lake_can_be_read_again(
    settings: Settings, lake: SmallLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.publish([a_login(0)], [])

    def fail(_: DeltaTable) -> None:
        raise ValueError("unexpected")

    with served_here(settings, lifespan="on") as client:
        with monkeypatch.context() as patch:
            patch.setattr(DeltaTable, "update_incremental", fail)
            wait_until(lambda: client.get("/readyz").json()["status"] == "degraded", seconds=WELL_ABOVE_A_POLL)
            assert "ValueError" in client.get("/readyz").json()["detail"]
        wait_until(lambda: client.get("/readyz").json()["status"] == "ready", seconds=WELL_ABOVE_A_POLL)


def test_damage_that_a_request_noted_is_forgotten_with_the_next_publication(
    settings: Settings, lake: SmallLake
) -> None:
    lake.publish([a_login(0)], [])
    store = FallbackStore(settings)
    store.refresh()
    store.note(LakeUnreadable("a page is damaged", hint="", table=IP_ACTIVITY.table.full_name, version=0))
    assert "a page is damaged" in str(store.refresh().damage)

    lake.publish([a_login(1)], [], FIRST_PUBLISHED + timedelta(hours=1))

    assert store.refresh().damage is None
