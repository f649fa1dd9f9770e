"""Leases: who holds a lock on S3, decided without a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.errors import LockHeld, LockLost
from lakehouse.leases import LEASE_SECONDS, Lease, LeaseNote, StoredLease

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
HOLDER = {"pid": 17, "host": "first", "jvm": 18, "since": "2026-02-02T12:00:00+00:00"}
OTHER = {"pid": 27, "host": "second"}
EXPIRED = NOW + timedelta(seconds=LEASE_SECONDS)


class LeaseInMemory:
    """A store with one lease, which it writes at a time that tests set."""

    name = "bronze"

    def __init__(self) -> None:
        self.now = NOW
        self.stored: StoredLease | None = None
        self.loses_next_answer = False

    def read(self) -> StoredLease | None:
        return self.stored

    def write(self, note: LeaseNote, *, after: StoredLease | None) -> StoredLease | None:
        if after != self.stored:  # a repeated request is refused too, but the content shows that it has succeeded
            return self.stored if self.stored is not None and self.stored.note == note else None
        self.stored = StoredLease(note, self.now, etag=str(note))
        if self.loses_next_answer:
            self.loses_next_answer = False
            raise ConnectionError
        return self.stored


@pytest.fixture
def store() -> LeaseInMemory:
    return LeaseInMemory()


def test_a_held_lease_is_refused_by_its_holders_name_and_the_time_of_its_end(store: LeaseInMemory) -> None:
    Lease.take(store, holder=HOLDER, now=NOW)

    with pytest.raises(
        LockHeld, match=r"Process 17 .* of bronze since .*\(JVM 18, on first\).* ends at 12:00:30"
    ) as held:
        Lease.take(store, holder=OTHER, now=EXPIRED - timedelta(seconds=1))
    assert held.value.parts["pid"] == 17


def test_an_expired_lease_is_taken_and_its_holder_has_lost_the_lock(store: LeaseInMemory) -> None:
    first = Lease.take(store, holder=HOLDER, now=NOW)
    second = Lease.take(store, holder=OTHER, now=EXPIRED)

    for _ in range(2):
        with pytest.raises(LockLost, match="lost the lock of bronze"):
            first.renew()
    second.renew()


def test_a_renewed_lease_is_held_from_then_on(store: LeaseInMemory) -> None:
    lease = Lease.take(store, holder=HOLDER, now=NOW)
    store.now = NOW + timedelta(seconds=20)
    lease.renew()

    with pytest.raises(LockHeld):
        Lease.take(store, holder=OTHER, now=EXPIRED)


def test_a_released_lease_is_taken_at_once(store: LeaseInMemory) -> None:
    Lease.take(store, holder=HOLDER, now=NOW).release()

    Lease.take(store, holder=OTHER, now=NOW)

    assert store.stored is not None
    assert store.stored.note.holder == OTHER


def test_a_holder_that_lost_the_lock_does_not_release_it(store: LeaseInMemory) -> None:
    first = Lease.take(store, holder=HOLDER, now=NOW)
    Lease.take(store, holder=OTHER, now=EXPIRED)
    with pytest.raises(LockLost):
        first.renew()

    first.release()

    assert store.stored is not None
    assert (store.stored.note.holder, store.stored.note.is_released) == (OTHER, False)


def test_the_numbers_of_commits_grow_from_holder_to_holder_even_if_the_object_was_deleted(store: LeaseInMemory) -> None:
    first = Lease.take(store, holder=HOLDER, now=NOW)
    numbers = [first.next_fence(), first.next_fence()]
    first.release()
    second = Lease.take(store, holder=OTHER, now=NOW)
    numbers.append(second.next_fence())
    store.stored = None
    third = Lease.take(store, holder=HOLDER, now=NOW + timedelta(seconds=2))
    numbers.append(third.next_fence())

    assert numbers == sorted(set(numbers))


def test_a_write_that_succeeded_although_it_failed_for_its_holder_does_not_lose_the_lock(store: LeaseInMemory) -> None:
    lease = Lease.take(store, holder=HOLDER, now=NOW)
    for attempt in (lease.renew, lease.release):
        store.loses_next_answer = True
        with pytest.raises(ConnectionError):
            attempt()
        store.now += timedelta(seconds=9)

        attempt()

        assert store.stored is not None
        assert store.stored.written_at == store.now
    Lease.take(store, holder=OTHER, now=store.now)
