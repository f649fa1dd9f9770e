"""A damaged lake: the last whole snapshot is served, `/readyz` reports it, and no answer is silently older or wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.errors import LakehouseError, LakeUnreadable
from lakehouse.settings import Settings
from lakehouse.tables import TABLES
from serving.fallback import METRIC_TABLES
from serving.sql import sql_answer
from serving.store import Store
from tests.damage import COMMIT_DAMAGES, FILE_DAMAGES, flip, newest_file, remove_checkpoint
from tests.serving.conftest import ApiClient, served_here
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_login, publish_twice, retain_from, settings_of

IPS = "/v1/metrics/ip_activity"
VERSIONED = ["silver.events", "gold.ip_activity"]


@pytest.fixture
def settings(published: Settings, tmp_path: Path) -> Settings:
    """A copy of the published lake, which a test may damage."""
    root = Path(shutil.copytree(published.root, tmp_path / "lake"))
    return published.model_copy(update={"root": str(root)})


@pytest.fixture
def client(settings: Settings) -> Iterator[ApiClient]:
    """A client of an API that has read the lake."""
    with served_here(settings) as client:
        yield client


def folder_of(settings: Settings, table: str) -> Path:
    return Path(settings.table_uri(TABLES[table].layer, TABLES[table].name))


def rows(client: ApiClient, **params: str) -> tuple[str, list[dict[str, object]]]:
    """The served snapshot and its rows."""
    answer = client.get(IPS, params=params)
    assert answer.status_code == 200, answer.text
    return answer.headers["Loginlake-Snapshot"], answer.json()["data"]


def readiness(client: ApiClient) -> tuple[int, str, int]:
    """What `/readyz` answers once the API has read the lake again."""
    client.store.refresh()
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["status"], answer.json()["snapshot"]


@pytest.mark.parametrize("damage", COMMIT_DAMAGES.values(), ids=COMMIT_DAMAGES.keys())
@pytest.mark.parametrize("table", [*VERSIONED, "gold.snapshots"])
def test_a_running_api_keeps_its_snapshot_when_the_last_commit_is_lost(
    client: ApiClient, settings: Settings, table: str, damage: Callable[[Path], object]
) -> None:
    before = rows(client)

    damage(folder_of(settings, table))

    assert readiness(client) == (200, "degraded", 2)
    assert table in client.get("/readyz").json()["detail"]
    assert rows(client) == before


def test_a_running_api_does_not_go_back_to_an_earlier_publication(settings: Settings, client: ApiClient) -> None:
    lake = SmallLake(settings)
    lake.continue_after(published=2)
    lake.publish([a_login(20)], [], FIRST_PUBLISHED + timedelta(hours=3))
    assert readiness(client) == (200, "ready", 3)
    before = rows(client)

    COMMIT_DAMAGES["removed"](folder_of(settings, "gold.snapshots"))

    assert readiness(client) == (200, "degraded", 3)
    assert rows(client) == before


@pytest.mark.parametrize("damage", COMMIT_DAMAGES.values(), ids=COMMIT_DAMAGES.keys())
@pytest.mark.parametrize("table", VERSIONED)
def test_a_new_api_serves_the_last_snapshot_whose_versions_exist(
    settings: Settings, table: str, damage: Callable[[Path], object]
) -> None:
    damage(folder_of(settings, table))

    with served_here(settings) as client:
        assert rows(client) == rows(client, snapshot="1")
        assert readiness(client) == (200, "degraded", 1)
        newest = client.get(IPS, params={"snapshot": "2"})
        assert newest.status_code == (503 if table == "gold.ip_activity" else 200)


@pytest.mark.parametrize("table", [*VERSIONED, "gold.snapshots"])
def test_a_running_api_serves_the_same_rows_without_the_checkpoint(settings: Settings, table: str) -> None:
    DeltaTable(folder_of(settings, table)).create_checkpoint()
    with served_here(settings) as client:
        before = rows(client)
        remove_checkpoint(folder_of(settings, table))
        assert readiness(client)[0] == 200
        assert rows(client) == before


def test_a_malformed_pointer_to_the_last_checkpoint_is_ignored(client: ApiClient, settings: Settings) -> None:
    folder = folder_of(settings, "gold.snapshots")
    DeltaTable(folder).create_checkpoint()
    (folder / "_delta_log" / "_last_checkpoint").write_text("garbage{")

    with served_here(settings) as another:
        assert rows(another) == rows(client)


@pytest.mark.parametrize("damage", FILE_DAMAGES.values(), ids=FILE_DAMAGES.keys())
def test_the_snapshot_before_is_served_where_a_file_of_the_newest_is_damaged(
    client: ApiClient, settings: Settings, damage: Callable[[Path], object]
) -> None:
    damage(folder_of(settings, "gold.ip_activity"))

    assert client.get(IPS).status_code == 503
    assert readiness(client) == (200, "degraded", 1)
    assert rows(client)[0] == "1"
    with served_here(settings) as another:
        assert rows(another) == rows(client)


def test_the_snapshot_before_is_served_where_a_query_meets_damage_that_file_sizes_do_not_show(
    client: ApiClient, settings: Settings
) -> None:
    file = newest_file(folder_of(settings, "gold.ip_activity"))
    flip(file, file.stat().st_size - 1)  # the end of the footer
    assert readiness(client) == (200, "ready", 2)

    answer = client.get(IPS)

    assert answer.status_code == 503
    assert answer.json()["type"] == "/docs/problems#lake-unreadable"
    assert readiness(client) == (200, "degraded", 1)
    assert rows(client)[0] == "1"


def test_no_flipped_byte_is_taken_for_wrong_sql(settings: Settings) -> None:
    store = Store(settings)
    file = newest_file(folder_of(settings, "gold.ip_activity"))
    whole = file.read_bytes()
    errors = set()
    for place in range(0, len(whole), len(whole) // 80):
        flip(file, place)
        try:
            sql_answer("select * from ip_activity", store, snapshot=store.snapshot(snapshot_id=2))
        except LakehouseError as error:
            errors.add(type(error))
        file.write_bytes(whole)

    assert errors == {LakeUnreadable}


def test_no_flipped_byte_is_an_internal_error(client: ApiClient, settings: Settings) -> None:
    file = newest_file(folder_of(settings, "gold.ip_activity"))
    whole = file.read_bytes()
    kinds = set()
    for place in range(0, len(whole), len(whole) // 40):
        flip(file, place)
        kinds.add(client.get(IPS, params={"snapshot": "2"}).json().get("type", "answered"))
        file.write_bytes(whole)

    assert kinds == {"answered", "/docs/problems#lake-unreadable"}
    assert client.get("/livez").status_code == 200


def test_an_api_that_can_answer_no_metric_is_not_ready(client: ApiClient, settings: Settings) -> None:
    for table in METRIC_TABLES:
        for file in folder_of(settings, table.full_name).rglob("*.parquet"):
            file.write_bytes(b"")

    client.store.refresh()

    assert client.get(IPS).status_code == client.get(IPS, params={"every": "hour"}).status_code == 503
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["type"] == "/docs/problems#not-ready"
    assert "gold.pair_activity_hourly" in answer.json()["detail"]


def test_an_api_that_can_answer_some_metric_is_degraded(client: ApiClient, settings: Settings) -> None:
    for file in folder_of(settings, "gold.ip_activity").rglob("*.parquet"):
        file.write_bytes(b"")

    assert readiness(client) == (200, "degraded", 2)
    assert client.get(IPS).status_code == 503
    assert client.get("/v1/metrics/user_activity").status_code == 200


def test_a_snapshot_that_is_published_again_is_served_and_ends_the_degradation(
    settings: Settings, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path / "own")
    publish_twice(settings)
    older = Path(shutil.copytree(settings.root, tmp_path / "older"))
    with served_here(settings) as client:
        lake = SmallLake(settings)
        lake.continue_after(published=2)
        lake.publish([a_login(20, src_ip="203.0.113.9")], [], FIRST_PUBLISHED + timedelta(hours=2))
        assert readiness(client) == (200, "ready", 3)

        # The whole lake goes back to its second snapshot; another third one follows, at the same versions.
        shutil.rmtree(settings.root)
        shutil.copytree(older, settings.root)
        assert readiness(client) == (200, "degraded", 2)
        lake.continue_after(published=2)
        lake.publish([a_login(30, src_ip="203.0.113.77")], [], FIRST_PUBLISHED + timedelta(hours=3))

        assert readiness(client) == (200, "ready", 3)
        served, found = rows(client)
        assert served == "3"
        assert [row["src_ip"] for row in found] == ["203.0.113.77"]


def test_a_lost_table_of_snapshots_is_not_taken_for_an_empty_lake(client: ApiClient, settings: Settings) -> None:
    before = rows(client)

    shutil.rmtree(folder_of(settings, "gold.snapshots"))

    assert readiness(client) == (200, "degraded", 2)
    assert rows(client) == before


def test_bronze_without_its_last_commit_is_not_read_as_fewer_rows(client: ApiClient, settings: Settings) -> None:
    url = "/v1/tables/bronze.raw_logs/rows"
    assert len(client.get(url).json()["data"]) == 8

    COMMIT_DAMAGES["removed"](folder_of(settings, "bronze.raw_logs"))

    assert client.get(url).status_code == 503


def test_a_version_whose_files_are_deleted_is_expired_and_not_damage(client: ApiClient, settings: Settings) -> None:
    url = "/v1/tables/silver.events/rows"
    retain_from(settings, 2)
    DeltaTable(folder_of(settings, "silver.events")).vacuum(
        retention_hours=0, enforce_retention_duration=False, dry_run=False
    )
    client.store.refresh()

    answer = client.get(url, params={"version": "0"})

    assert answer.status_code == 410
    assert answer.json()["type"] == "/docs/problems#snapshot-expired"
    assert answer.json()["oldest"] == 2
    assert client.get(url, params={"version": "1"}).status_code == 200
    assert readiness(client) == (200, "ready", 2)
