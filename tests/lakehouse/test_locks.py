"""Locks seen from outside the JVM that holds them."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest

from lakehouse.errors import LockHeld
from lakehouse.lake import Lake
from lakehouse.locks import lock_path, no_readers, reader_lock, refuse_in_use, writer_lock
from lakehouse.settings import Settings

pytestmark = pytest.mark.spark


def is_locked(path: Path) -> bool:
    """Asked by this process, which is another than the JVM."""
    with path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_lock_that_its_own_process_asks_for_again_stays_locked(lake: Lake) -> None:
    path = lock_path(lake.settings, "bronze")

    with writer_lock(lake, "bronze"):
        with pytest.raises(LockHeld, match="lock of bronze"), writer_lock(lake, "bronze"):
            pass
        assert is_locked(path)

    assert not is_locked(path)


def test_after_an_interruption_the_lock_stays_with_the_jvm_and_after_an_error_it_does_not(lake: Lake) -> None:
    path = lock_path(lake.settings, "refresh")

    with pytest.raises(RuntimeError), writer_lock(lake, "refresh"):
        raise RuntimeError
    assert not is_locked(path)

    with pytest.raises(KeyboardInterrupt), writer_lock(lake, "refresh"):
        raise KeyboardInterrupt
    assert is_locked(path)


def test_an_upkeep_is_waited_for(lake: Lake) -> None:
    got_it = threading.Event()

    def wait_for_it() -> None:
        with writer_lock(lake, "bronze"):
            got_it.set()

    waiting = threading.Thread(target=wait_for_it)
    with writer_lock(lake, "bronze", upkeep=True):
        waiting.start()
        assert not got_it.wait(2)
    waiting.join(60)

    assert got_it.is_set()


def test_a_reader_that_comes_while_files_are_taken_away_waits(lake: Lake) -> None:
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


def test_a_lake_in_use_is_told_from_one_that_is_not(lake: Lake) -> None:
    refuse_in_use(lake.settings)
    with writer_lock(lake, "refresh"), pytest.raises(LockHeld, match="lock of refresh"):
        refuse_in_use(lake.settings)
    refuse_in_use(lake.settings)


def test_a_lake_that_never_was_is_not_in_use(settings_of_no_lake: Settings) -> None:
    refuse_in_use(settings_of_no_lake)
    assert not Path(settings_of_no_lake.root).exists()


@pytest.fixture
def settings_of_no_lake(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path / "lake"), state=tmp_path / "state", _env_file=None)
