"""The locks of a lake on S3: leases, which expire unless their holder renews them.

A lease is one object, `ROOT/_locks/<name>.json`, that is only written by conditional requests: it is created if it does
not exist, or overwritten if it is still the one that was read. Spark's JVM writes it, since it has a client of S3.

A holder that was paused for longer than its lease does not know that another process holds the lock now. Therefore each
commit that adds rows is fenced: it names the lock as a transaction of Delta, with a number that grows from holder to
holder and from commit to commit. Delta refuses a commit if the table has a higher number, and if another commit of the
lock was made since the commit began. A MERGE, DELETE or RESTORE has no such number: see docs/adr/0008.
Source: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from lakehouse import s3
from lakehouse.clock import utc_now
from lakehouse.errors import LockHeld, LockLost

if TYPE_CHECKING:
    from lakehouse.lake import Lake
    from lakehouse.settings import Settings
    from lakehouse.tables.model import Table

log = structlog.get_logger()

# A dead holder's lease expires after this time. Longer than a pause of the JVM's garbage collector.
LEASE_SECONDS = 30.0
RENEWAL_SECONDS = 8.0
# A holder makes fewer commits than this in each second.
FENCES_PER_SECOND = 1_000_000
CREATE = "fs.option.create.conditional.overwrite"
OVERWRITE = "fs.option.create.conditional.overwrite.etag"
# Why a store refuses a conditional write: the object exists, was overwritten, or another write of it is under way.
REFUSALS = ("FileAlreadyExistsException", "RemoteFileChangedException", "Status Code: 412", "Status Code: 409")


class LeaseNote(msgspec.Struct, frozen=True):
    """The content of a lease.

    Attributes:
        holder: Process, JVM, host and job of the holder, and since when it holds the lock.
        fence: Grows with each holder.
        renewals: Grows with each write of the holder.
        is_released: True once the holder has ended its work.
    """

    holder: dict[str, Any]
    fence: int
    renewals: int = 0
    is_released: bool = False


@dataclass(frozen=True)
class StoredLease:
    """A lease as the store has it.

    Attributes:
        note: Its content.
        written_at: When it was written, by the store's clock, UTC.
        etag: The store's tag of this content; empty if it was read without Spark.
    """

    note: LeaseNote
    written_at: datetime
    etag: str = ""

    def is_held(self, *, now: datetime) -> bool:
        """Return True unless it was released or has expired."""
        return not self.note.is_released and now < self.written_at + timedelta(seconds=LEASE_SECONDS)


NOTES = msgspec.json.Decoder(LeaseNote)
# The leases that this process holds, by the root of the lake and the name of the lock.
_own_leases: dict[tuple[str, str], Lease] = {}


def lease_of(settings: Settings, table: Table) -> Lease | None:
    """Return the lease under which this process writes a table; None if it has none, as on this machine's disk."""
    return _own_leases.get((settings.root, "bronze" if table.layer == "bronze" else "refresh"))


def refuse_held_lease(settings: Settings, name: str) -> None:
    """Raise if another process holds the lock; this needs no Spark.

    Raises:
        LockHeld: The lock is held; the error names the process.
        StoreUnreachable: The store does not answer or refuses access.
    """
    found = _read_without_spark(settings, name)
    if found is not None and found.is_held(now=utc_now()):
        raise _lock_held(name, found)


@contextmanager
def held_lease(lake: Lake, name: str, *, holder: Mapping[str, Any]) -> Iterator[None]:
    """Hold the lease of a lock for the block, and renew it from a thread.

    After an interruption (KeyboardInterrupt) it is not released but expires, since the JVM may still be committing.

    Raises:
        LockHeld: Another process holds the lock; the error names it.
    """
    lease = Lease.take(LeaseObject(lake, name), holder=holder, now=utc_now())
    own = (lake.settings.root, name)
    _own_leases[own] = lease
    ended = threading.Event()
    renewing = threading.Thread(target=lease.renew_until, args=(ended,), name=f"renew-{name}", daemon=True)
    renewing.start()
    is_interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        is_interrupted = True
        raise
    finally:
        ended.set()
        del _own_leases[own]
        if not is_interrupted:
            renewing.join()
            lease.release()


class LeaseObject:
    """The object of a lease, read and written by Spark's JVM."""

    def __init__(self, lake: Lake, name: str) -> None:
        self.name = name
        self._lake = lake
        self._path = lake.java_class("org.apache.hadoop.fs.Path")(
            f"{lake.settings.root.rstrip('/')}/_locks/{name}.json"
        )
        self._files = self._path.getFileSystem(lake.spark._jsparkSession.sessionState().newHadoopConf())

    def read(self) -> StoredLease | None:
        """Return the lease; None if there is none yet."""
        from py4j.protocol import Py4JJavaError

        try:
            status = self._files.getFileStatus(self._path)
        except Py4JJavaError as error:
            if "FileNotFoundException" in str(error):
                return None
            raise
        # With the status, the store refuses to send a later content.
        stream = self._files.openFile(self._path).withFileStatus(status).build().get()
        try:
            text = self._lake.java_class("org.apache.commons.io.IOUtils").toString(stream, "UTF-8")
        finally:
            stream.close()
        written_at = datetime.fromtimestamp(status.getModificationTime() / 1000, UTC)
        return StoredLease(NOTES.decode(text), written_at, str(status.getEtag()))

    def write(self, note: LeaseNote, *, after: StoredLease | None) -> StoredLease | None:
        """Write a note in place of the lease that was read before, or create it; return None if it has changed since.

        Args:
            note: A note that was never written before.
            after: The lease as it was read; None if there was none.
        """
        from py4j.protocol import Py4JJavaError

        builder = self._files.createFile(self._path).recursive()
        builder = builder.must(CREATE, "true") if after is None else builder.overwrite(True).must(OVERWRITE, after.etag)
        try:
            stream = builder.build()
            stream.write(msgspec.json.encode(note))
            stream.close()
        except Py4JJavaError as error:
            if not any(refusal in str(error) for refusal in REFUSALS):
                raise
        # A write whose answer was lost is refused when it is repeated, although it succeeded: the content decides.
        stored = self.read()
        return stored if stored is not None and stored.note == note else None


class Lease:
    """A lease that this process has taken; safe to share between threads."""

    def __init__(self, stored: LeaseObject, last: StoredLease) -> None:
        self._object = stored
        self._last = last
        self._is_lost = False
        self._writing = threading.Lock()
        self._fence = last.note.fence * FENCES_PER_SECOND
        self._writes = last.note.renewals

    @classmethod
    def take(cls, stored: LeaseObject, *, holder: Mapping[str, Any], now: datetime) -> Lease:
        """Take the lease if there is none, or it was released or has expired by now, UTC.

        Raises:
            LockHeld: Another process holds it.
        """
        found = stored.read()
        if found is not None and found.is_held(now=now):
            raise _lock_held(stored.name, found)
        # Higher than that of every holder before, even if the object was deleted.
        fence = max(found.note.fence + 1 if found else 0, int(now.timestamp()))
        taken = stored.write(LeaseNote(dict(holder), fence), after=found)
        if taken is None:
            raise _lock_held(stored.name, stored.read())
        return cls(stored, taken)

    @property
    def transaction(self) -> str:
        """The name of the lock as a transaction of Delta."""
        return f"loginlake.{self._object.name}"

    def renew(self) -> None:
        """Renew the lease now.

        Raises:
            LockLost: It has expired, and another process holds the lock or has held it since.
        """
        with self._writing:
            if not self._is_lost:
                self._write()
            if self._is_lost:
                raise self.lost()

    def next_fence(self) -> int:
        """Renew the lease and return the number of the next commit, higher than those of all commits before.

        Raises:
            LockLost: The lease has expired, and another process holds the lock or has held it since.
        """
        self.renew()
        with self._writing:
            self._fence += 1
            return self._fence

    def renew_until(self, ended: threading.Event) -> None:
        """Renew the lease again and again until the event is set; a failed renewal is tried again."""
        while not ended.wait(RENEWAL_SECONDS):
            try:
                self.renew()
            except LockLost as lost:
                log.warning("lock_lost", reason=lost.what)
                return
            except Exception as error:  # the next check before a commit reports it
                log.warning("lease_not_renewed", lock=self._object.name, error=str(error).partition("\n")[0])

    def release(self) -> None:
        """Let others take the lock at once, unless this process has lost it."""
        with self._writing:
            if not self._is_lost:
                self._write(is_released=True)

    def lost(self) -> LockLost:
        """Return the error for a lease that has expired."""
        return LockLost(
            f"This process lost the lock of {self._object.name}: it did not renew its lease for {LEASE_SECONDS:g} s",
            hint="Start it again; it continues after the last commit",
            name=self._object.name,
        )

    def _write(self, *, is_released: bool = False) -> None:
        written = self._overwrite(self._last, is_released=is_released)
        if written is None and (stored := self._object.read()) is not None and self._is_own(stored):
            # The write before succeeded, although its answer was lost.
            written = self._overwrite(stored, is_released=is_released)
        if written is None:
            self._is_lost = True
        else:
            self._last = written

    def _overwrite(self, stored: StoredLease, *, is_released: bool) -> StoredLease | None:
        self._writes += 1  # so that each note is new
        note = msgspec.structs.replace(stored.note, renewals=self._writes, is_released=is_released)
        return self._object.write(note, after=stored)

    def _is_own(self, stored: StoredLease) -> bool:
        mine = self._last.note
        return (stored.note.holder, stored.note.fence) == (mine.holder, mine.fence)


def _read_without_spark(settings: Settings, name: str) -> StoredLease | None:
    from pyarrow.fs import FileType

    store, path = s3.file_system(), s3.path_of(settings, "_locks", f"{name}.json")
    try:
        info = store.get_file_info(path)
        if info.type != FileType.File:
            return None
        with store.open_input_stream(path) as content:
            return StoredLease(NOTES.decode(content.read()), info.mtime)
    except OSError as error:
        raise s3.unreachable(str(error)) from error


def _lock_held(name: str, found: StoredLease | None) -> LockHeld:
    hint = "Wait until it ends, or end it"
    if found is not None:
        expiry = found.written_at + timedelta(seconds=LEASE_SECONDS)
        hint += f". If it was killed, its lease ends at {expiry:%H:%M:%S} UTC"
    return LockHeld.by(found.note.holder if found else {}, name=name, hint=hint)
