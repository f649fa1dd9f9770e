"""Files that Spark wrote, compared with their checksums after single bits were changed."""

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
from serving.checksums import is_corrupt, matches
from serving.store import Store
from tests.loginlake.verify.lakes import check_of, faults_of
from tests.serving.lakes import settings_of
from tests.spark_lakes import a_raw, a_raw_login, append_batch

CLAIM = "every file matches its checksums"
FLIPS = 50


@pytest.fixture(scope="module")
def by_spark(spark: SparkSession, created: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that the jobs wrote in two refreshes, over several days; tests only copy it."""
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
    return verify(settings, Store(settings), options=VerifyOptions(is_deep=True))


def checksum_check(report: Report) -> Check:
    return check_of(report, CLAIM)


def flip(file: Path, chance: random.Random) -> None:
    """Change one bit anywhere in a file."""
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def name_of(file: Path, settings: Settings) -> str:
    layer, table, *rest = file.relative_to(settings.root).parts
    return f"{layer}.{table}/{'/'.join(rest)}"


def test_a_lake_that_spark_wrote_matches_its_checksums(settings: Settings) -> None:
    report = verified(settings)

    assert faults_of(report) == []
    assert checksum_check(report).notes == []


def test_one_changed_bit_in_each_of_50_data_files_is_found(settings: Settings) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 (shown when the test fails)
    chance = random.Random(seed)
    files = chance.sample(sorted(Path(settings.root).rglob("*.parquet")), FLIPS)
    for file in files:
        flip(file, chance)

    check = checksum_check(verified(settings))

    assert check.faults == FLIPS
    assert {fault.split()[0] for fault in check.details} == {name_of(file, settings) for file in files}


def test_a_changed_bit_anywhere_in_a_file_of_snapshots_is_an_error(settings: Settings) -> None:
    file = min(Path(settings.root).glob("gold/snapshots/*.parquet"))
    content = file.read_bytes()
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(LakeUnreadable):
            Store(settings).snapshots()


def test_a_changed_bit_in_a_commit_is_found(settings: Settings) -> None:
    commit = Path(settings.root) / "silver" / "events" / "_delta_log" / "00000000000000000001.json"
    flip(commit, random.Random(1))

    assert f"{name_of(commit, settings)} differs from its checksum" in faults_of(verified(settings))


def test_incomplete_files_of_a_killed_writer_are_no_fault(settings: Settings) -> None:
    intact = next(Path(settings.root).rglob("*.parquet"))
    sidecar = intact.with_name(f".{intact.name}.crc")
    torn = intact.with_name("part-torn.parquet")
    torn.write_bytes(intact.read_bytes()[:2_000])
    torn.with_name(f".{torn.name}.crc").write_bytes(sidecar.read_bytes()[:12])
    intact.with_name("part-begun.parquet").write_bytes(b"")
    intact.with_name(".part-begun.parquet.crc").write_bytes(b"")

    assert faults_of(verified(settings)) == []


def test_a_table_is_read_although_a_file_that_no_version_needs_is_corrupt(settings: Settings) -> None:
    intact = next(Path(settings.root).glob("silver/**/*.parquet"))
    spare = intact.with_name("part-spare.parquet")
    spare.write_bytes(intact.read_bytes())
    spare.with_name(f".{spare.name}.crc").write_bytes(intact.with_name(f".{intact.name}.crc").read_bytes())
    flip(spare, random.Random(1))

    (fault,) = faults_of(verified(settings))

    assert fault.startswith(name_of(spare, settings))
    assert "no version needs it" in fault


def test_without_crc_files_the_pages_are_checked(settings: Settings) -> None:
    for sidecar in Path(settings.root).rglob(".*.crc"):
        sidecar.unlink()
    file = max(Path(settings.root).glob("bronze/**/*.parquet"), key=lambda file: file.stat().st_size)
    content = file.read_bytes()
    # In the values of the first page, after its header.
    file.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])

    check = checksum_check(verified(settings))

    assert any("no .crc file beside them" in note for note in check.notes)
    assert [fault for fault in check.details if name_of(file, settings) in fault]


def a_sidecar(content: bytes, chunk: int = 512) -> bytes:
    sums = [zlib.crc32(content[start : start + chunk]) for start in range(0, len(content), chunk)]
    return struct.pack(f">4si{len(sums)}I", b"crc\x00", chunk, *sums)


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 5_000])
def test_content_matches_only_its_own_checksums(size: int) -> None:
    content = random.Random(size).randbytes(size)

    assert matches(pa.py_buffer(content), a_sidecar(content))
    assert not matches(pa.py_buffer(content + b"x"), a_sidecar(content))
    assert not matches(pa.py_buffer(content), a_sidecar(content + b"x" * 600))


def test_the_partial_last_chunk_of_an_incomplete_file_is_ignored() -> None:
    content = random.Random(1).randbytes(1_500)
    torn, changed = content[:1_200], b"?" + content[1:1_200]

    assert not is_corrupt(pa.py_buffer(torn), a_sidecar(content))
    assert is_corrupt(pa.py_buffer(changed), a_sidecar(content))


def test_a_changed_byte_at_the_end_of_a_complete_file_is_found() -> None:
    content = random.Random(1).randbytes(1_496) + b"PAR1"

    assert not is_corrupt(pa.py_buffer(content), a_sidecar(content))
    assert is_corrupt(pa.py_buffer(content[:-1] + b"?"), a_sidecar(content))
