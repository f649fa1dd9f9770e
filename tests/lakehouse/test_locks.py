"""The locks, seen from outside of the JVM that holds them."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import lock_path, no_readers, reader_lock, refuse_in_use, writer_lock
from lakehouse.settings import Settings
from tests.loginlake.locked_files import locked_by_another_process


def is_locked(path: Path) -> bool:
    """Return True if another process holds the lock; the JVM is another process."""
    with path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_lock_that_its_own_process_requests_again_stays_locked(lake: Lake) -> None:
    path = lock_path(lake.settings, "bronze")

    with writer_lock(lake, "bronze"):
        with pytest.raises(LockHeld, match="lock of bronze"), writer_lock(lake, "bronze"):
            pass
        assert is_locked(path)

    assert not is_locked(path)


def test_an_interrupted_block_keeps_its_lock_and_a_failed_one_releases_it(lake: Lake) -> None:
    path = lock_path(lake.settings, "refresh")

    with pytest.raises(RuntimeError), writer_lock(lake, "refresh"):
        raise RuntimeError
    assert not is_locked(path)

    with pytest.raises(KeyboardInterrupt), writer_lock(lake, "refresh"):
        raise KeyboardInterrupt
    assert is_locked(path)


class Writer(threading.Thread):
    """A writer of bronze, which sets `writes` as soon as it holds the lock."""

    def __init__(self, lake: Lake) -> None:
        super().__init__()
        self.lake, self.writes = lake, threading.Event()

    def run(self) -> None:
        with writer_lock(self.lake, "bronze"):
            self.writes.set()


def test_a_writer_waits_for_maintenance(lake: Lake) -> None:
    writer = Writer(lake)
    with writer_lock(lake, "bronze", is_maintenance=True):
        writer.start()
        assert not writer.writes.wait(1)

    assert writer.writes.wait(60)
    writer.join(60)


def test_a_writer_waits_for_a_process_that_only_looks_whether_the_lock_is_free(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.locks.LOOK_SECONDS", 60.0)  # the process of this test looks for long
    with writer_lock(lake, "bronze"):  # creates the file
        pass
    writer = Writer(lake)
    with locked_by_another_process(lock_path(lake.settings, "bronze")):
        writer.start()
        assert not writer.writes.wait(0.5)

    assert writer.writes.wait(60)
    writer.join(60)


def test_a_reader_waits_while_files_are_deleted(lake: Lake) -> None:
    reads = threading.Event()

    def read() -> None:
        with reader_lock(lake.settings):
            reads.set()

    reading = threading.Thread(target=read)
    with no_readers(lake):
        reading.start()
        assert not reads.wait(1)
    reading.join(60)

    assert reads.is_set()


def test_a_lake_is_refused_only_while_it_is_in_use(lake: Lake) -> None:
    refuse_in_use(lake.settings)
    with writer_lock(lake, "refresh"), pytest.raises(LockHeld, match="lock of refresh"):
        refuse_in_use(lake.settings)
    refuse_in_use(lake.settings)


def test_a_missing_lake_is_not_in_use(settings_of_no_lake: Settings) -> None:
    refuse_in_use(settings_of_no_lake)
    assert not Path(settings_of_no_lake.root).exists()


@pytest.fixture
def settings_of_no_lake(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path / "lake"), state=tmp_path / "state", _env_file=None)
