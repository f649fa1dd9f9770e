"""Every byte: files that Spark wrote, of which some are then changed by a bit."""

from __future__ import annotations

import random
import shutil
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import LakeUnreadable
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from loginlake.pipeline import refresh
from loginlake.verify import Check, Report, VerifyOptions, verify
from loginlake.verify.checksums import agrees, damaged
from serving.store import Store
from tests.loginlake.verify.lakes import faults_of
from tests.serving.lakes import settings_of
from tests.spark_lakes import a_raw, a_raw_login, append_batch

BYTES = "every byte of every file is as it was written"
FLIPS = 50


@pytest.fixture(scope="module")
def by_spark(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that the jobs wrote in two refreshes, over some days; no test changes it."""
    folder = tmp_path_factory.mktemp("by-spark")
    shutil.copytree(created, folder / "lake")
    lake = Lake(spark, settings_of(folder))
    for number in range(2):
        first = number * 40
        days = [datetime(2026, 1, 20 + offset % 7, 12, tzinfo=UTC) for offset in range(40)]
        logins = [
            a_raw_login(first + offset, event_at=day.isoformat(), username=f"u{offset % 5}", src_ip="203.0.113.5")
            for offset, day in enumerate(days)
        ]
        append_batch(lake, [*logins, a_raw(first, partition=1), a_raw_login(first + 1, partition=1)], number=number)
        refresh(lake)
    return folder


@pytest.fixture
def settings(by_spark: Path, tmp_path: Path) -> Settings:
    """A copy of that lake, without a broker."""
    shutil.copytree(by_spark / "lake", tmp_path / "lake")
    return settings_of(tmp_path)


def verified(settings: Settings) -> Report:
    return verify(settings, Store(settings), wish=VerifyOptions(is_deep=True))


def bytes_check(report: Report) -> Check:
    return next(check for check in report.checks if check.claim == BYTES)


def flip(file: Path, chance: random.Random) -> None:
    """Changes one bit anywhere in a file."""
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def name_of(file: Path, settings: Settings) -> str:
    layer, table, *rest = file.relative_to(settings.root).parts
    return f"{layer}.{table}/{'/'.join(rest)}"


@pytest.mark.spark
def test_a_lake_that_spark_wrote_is_as_it_was_written(settings: Settings) -> None:
    report = verified(settings)

    assert faults_of(report) == []
    assert bytes_check(report).notes == []


@pytest.mark.spark
def test_one_changed_bit_in_each_of_50_data_files_is_found_and_each_file_named(settings: Settings) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 (shown when the test fails)
    chance = random.Random(seed)
    files = chance.sample(sorted(Path(settings.root).rglob("*.parquet")), FLIPS)
    for file in files:
        flip(file, chance)

    check = bytes_check(verified(settings))

    assert check.faults == FLIPS
    assert {fault.split()[0] for fault in check.named} == {name_of(file, settings) for file in files}


def pinned(settings: Settings) -> list[object]:
    return [(each.id, each.at, each.versions, each.offsets) for each in Store(settings).snapshots()]


@pytest.mark.spark
def test_a_changed_bit_never_makes_another_snapshot(settings: Settings) -> None:
    whole = pinned(settings)
    file = min(Path(settings.root).glob("gold/snapshots/*.parquet"))
    content = file.read_bytes()
    refused = 0
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert pinned(settings) == whole
        except LakeUnreadable:
            refused += 1

    assert refused > 50


@pytest.mark.spark
def test_a_changed_bit_in_a_commit_is_found(settings: Settings) -> None:
    commit = Path(settings.root) / "silver" / "events" / "_delta_log" / "00000000000000000001.json"
    flip(commit, random.Random(1))

    assert f"{name_of(commit, settings)} differs from its checksum" in faults_of(verified(settings))


@pytest.mark.spark
def test_what_a_killed_writer_left_is_no_fault(settings: Settings) -> None:
    whole = next(Path(settings.root).rglob("*.parquet"))
    sidecar = whole.with_name(f".{whole.name}.crc")
    torn = whole.with_name("part-torn.parquet")
    torn.write_bytes(whole.read_bytes()[:2_000])
    torn.with_name(f".{torn.name}.crc").write_bytes(sidecar.read_bytes()[:12])
    whole.with_name("part-begun.parquet").write_bytes(b"")
    whole.with_name(".part-begun.parquet.crc").write_bytes(b"")

    assert faults_of(verified(settings)) == []


@pytest.mark.spark
def test_a_damaged_file_that_no_version_needs_keeps_no_table_from_being_read(settings: Settings) -> None:
    whole = next(Path(settings.root).glob("silver/**/*.parquet"))
    spare = whole.with_name("part-spare.parquet")
    spare.write_bytes(whole.read_bytes())
    spare.with_name(f".{spare.name}.crc").write_bytes(whole.with_name(f".{whole.name}.crc").read_bytes())
    flip(spare, random.Random(1))

    (fault,) = faults_of(verified(settings))

    assert fault.startswith(name_of(spare, settings))
    assert "no version needs it" in fault


@pytest.mark.spark
def test_without_sidecars_pages_are_checked_and_that_is_said(settings: Settings) -> None:
    for sidecar in Path(settings.root).rglob(".*.crc"):
        sidecar.unlink()
    file = max(Path(settings.root).glob("bronze/**/*.parquet"), key=lambda file: file.stat().st_size)
    content = file.read_bytes()
    # In the values of the first page, which stands behind its header.
    file.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])

    check = bytes_check(verified(settings))

    assert any("no .crc beside them" in note for note in check.notes)
    assert [fault for fault in check.named if name_of(file, settings) in fault]


def a_sidecar(content: bytes, chunk: int = 512) -> bytes:
    sums = [zlib.crc32(content[start : start + chunk]) for start in range(0, len(content), chunk)]
    return struct.pack(f">4si{len(sums)}I", b"crc\x00", chunk, *sums)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5_000])
def test_content_agrees_with_its_own_sums_and_with_no_others(size: int) -> None:
    content = random.Random(size).randbytes(size)

    assert agrees(pa.py_buffer(content), a_sidecar(content))
    assert not agrees(pa.py_buffer(content + b"x"), a_sidecar(content))
    assert not agrees(pa.py_buffer(content), a_sidecar(content + b"x" * 600))


def test_a_torn_file_is_damaged_only_in_its_whole_chunks() -> None:
    content = random.Random(1).randbytes(1_500)
    torn, changed = content[:1_200], b"?" + content[1:1_200]

    assert not damaged(pa.py_buffer(torn), a_sidecar(content))
    assert damaged(pa.py_buffer(changed), a_sidecar(content))


def test_a_changed_byte_in_the_end_mark_of_a_file_is_damage() -> None:
    content = random.Random(1).randbytes(1_496) + b"PAR1"

    assert not damaged(pa.py_buffer(content), a_sidecar(content))
    assert damaged(pa.py_buffer(content[:-1] + b"?"), a_sidecar(content))
