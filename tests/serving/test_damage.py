"""A damaged lake: the last good snapshot is served, `/readyz` says so, and no answer is silently older or wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from deltalake import DeltaTable

from lakehouse.settings import Settings
from lakehouse.tables import TABLES
from tests.damage import COMMIT_DAMAGES, FILE_DAMAGES, flip, newest_file, remove_checkpoint
from tests.serving.conftest import served_here
from tests.serving.lakes import FIRST_PUBLISHED, SmallLake, a_login, promise, publish_twice, settings_of

IPS = "/v1/metrics/ip_activity"
NAMED = ["silver.events", "gold.ip_activity"]


@pytest.fixture
def settings(published: Settings, tmp_path: Path) -> Settings:
    """A copy of the published lake, which a test may damage."""
    root = Path(shutil.copytree(published.root, tmp_path / "lake"))
    return published.model_copy(update={"root": str(root)})


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx.Client]:
    """A server in this process that has answered already."""
    with served_here(settings) as client:
        assert client.get(IPS).headers["Loginlake-Snapshot"] == "2"
        yield client


def folder_of(settings: Settings, table: str) -> Path:
    return Path(settings.table_uri(TABLES[table].layer, TABLES[table].name))


def rows(client: httpx.Client, **asked: str) -> tuple[str, list[dict[str, object]]]:
    """The snapshot that was served, and its rows."""
    answer = client.get(IPS, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.headers["Loginlake-Snapshot"], answer.json()["data"]


def readiness(client: httpx.Client) -> tuple[int, str, int]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()["status"], answer.json()["snapshot"]


@pytest.mark.parametrize("damage", COMMIT_DAMAGES.values(), ids=COMMIT_DAMAGES.keys())
@pytest.mark.parametrize("table", [*NAMED, "gold.snapshots"])
def test_a_running_server_stays_at_its_snapshot_when_the_last_commit_is_lost(
    client: httpx.Client, settings: Settings, table: str, damage: Callable[[Path], object]
) -> None:
    before = rows(client)

    damage(folder_of(settings, table))

    assert rows(client) == before
    assert readiness(client) == (200, "degraded", 2)
    assert table in client.get("/readyz").json()["detail"]
    assert rows(client) == before


def test_a_server_that_has_seen_each_publication_does_not_go_back(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    lake = SmallLake(settings)
    with served_here(settings) as client:
        for published in range(1, 4):
            lake.publish([a_login(published)], [], FIRST_PUBLISHED + timedelta(hours=published))
            before = rows(client)
        assert before[0] == "3"

        COMMIT_DAMAGES["removed"](folder_of(settings, "gold.snapshots"))

        assert rows(client) == before
        assert readiness(client) == (200, "degraded", 3)


@pytest.mark.parametrize("damage", COMMIT_DAMAGES.values(), ids=COMMIT_DAMAGES.keys())
@pytest.mark.parametrize("table", NAMED)
def test_a_new_server_serves_the_last_snapshot_whose_versions_are_there(
    settings: Settings, table: str, damage: Callable[[Path], object]
) -> None:
    damage(folder_of(settings, table))

    with served_here(settings) as client:
        served, newest = rows(client), client.get(IPS, params={"snapshot": "2"})
        assert served == rows(client, snapshot="1")
        assert served[0] == "1"
        assert readiness(client) == (200, "degraded", 1)
        assert newest.status_code == (503 if table == "gold.ip_activity" else 200)


@pytest.mark.parametrize("table", [*NAMED, "gold.snapshots"])
def test_a_checkpoint_that_is_gone_is_degraded_and_not_a_crash(settings: Settings, table: str) -> None:
    DeltaTable(folder_of(settings, table)).create_checkpoint()
    with served_here(settings) as client:
        before = rows(client)
        remove_checkpoint(folder_of(settings, table))
        assert rows(client) == before
        assert client.get("/readyz").status_code == 200


def test_a_garbled_pointer_to_the_last_checkpoint_is_passed_over(client: httpx.Client, settings: Settings) -> None:
    folder = folder_of(settings, "gold.snapshots")
    DeltaTable(folder).create_checkpoint()
    (folder / "_delta_log" / "_last_checkpoint").write_text("garbage{")

    with served_here(settings) as another:
        assert rows(another) == rows(client)


@pytest.mark.parametrize("damage", FILE_DAMAGES.values(), ids=FILE_DAMAGES.keys())
def test_where_a_file_of_the_newest_snapshot_is_damaged_the_one_before_is_served(
    client: httpx.Client, settings: Settings, damage: Callable[[Path], object]
) -> None:
    damage(folder_of(settings, "gold.ip_activity"))

    assert client.get(IPS, params={"order_by": "src_ip"}).status_code == 503
    assert rows(client)[0] == "1"
    assert readiness(client) == (200, "degraded", 1)
    with served_here(settings) as another:
        assert rows(another) == rows(client)


def test_a_flipped_byte_ends_no_server(client: httpx.Client, settings: Settings) -> None:
    file = newest_file(folder_of(settings, "gold.ip_activity"))
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        flip(file, place)
        assert client.get(IPS, params={"snapshot": "2"}).status_code in {200, 503}
        file.write_bytes(whole)

    assert client.get("/livez").status_code == 200


def test_a_snapshot_that_is_published_anew_is_served_and_ends_the_degradation(
    settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"root": str(tmp_path / "own")})
    publish_twice(settings)
    older = Path(shutil.copytree(settings.root, tmp_path / "older"))
    with served_here(settings) as client:
        lake = SmallLake(settings)
        lake.adopt(published=2)
        lake.publish([a_login(20, src_ip="203.0.113.9")], [], FIRST_PUBLISHED + timedelta(hours=2))
        assert rows(client)[0] == "3"

        # The whole lake goes back to its second snapshot; another third one follows, at the same versions.
        shutil.rmtree(settings.root)
        shutil.copytree(older, settings.root)
        assert readiness(client) == (200, "degraded", 2)
        lake.adopt(published=2)
        lake.publish([a_login(30, src_ip="203.0.113.77")], [], FIRST_PUBLISHED + timedelta(hours=3))

        served, found = rows(client)
        assert served == "3"
        assert [row["src_ip"] for row in found] == ["203.0.113.77"]
        assert readiness(client) == (200, "ready", 3)


def test_no_table_of_snapshots_is_no_longer_taken_for_an_empty_lake(client: httpx.Client, settings: Settings) -> None:
    before = rows(client)

    shutil.rmtree(folder_of(settings, "gold.snapshots"))

    assert rows(client) == before
    assert readiness(client) == (200, "degraded", 2)


def test_bronze_that_lost_its_last_commit_is_not_read_as_if_it_were_whole(
    client: httpx.Client, settings: Settings
) -> None:
    url = "/v1/tables/bronze.raw_logs/rows"
    assert len(client.get(url).json()["data"]) == 8

    COMMIT_DAMAGES["removed"](folder_of(settings, "bronze.raw_logs"))

    assert client.get(url).status_code == 503


def test_a_version_whose_files_are_no_longer_kept_is_gone_and_no_damage(
    client: httpx.Client, settings: Settings
) -> None:
    url = "/v1/tables/silver.events/rows"
    promise(settings, 2)
    DeltaTable(folder_of(settings, "silver.events")).vacuum(
        retention_hours=0, enforce_retention_duration=False, dry_run=False
    )

    answer = client.get(url, params={"version": "0"})

    assert answer.status_code == 410
    assert answer.json()["type"].endswith("#snapshot-expired")
    assert client.get(url, params={"version": "1"}).status_code == 200
    assert readiness(client) == (200, "ready", 2)
