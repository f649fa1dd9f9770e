"""All errors, each with a hint on how to fix it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Self


class LakehouseError(Exception):
    """An error that is printed as one line: what is wrong, where, and a hint on how to fix it.

    Args:
        what: What is wrong and where, without a full stop.
        hint: What the user can do about it, as an imperative.
        parts: The values in the message by name, for programs.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str, **parts: object) -> None:
        super().__init__(f"{what}. {hint}")
        self.what = what
        self.hint = hint
        self.parts = parts


class UsageError(LakehouseError):
    """The command line or a setting is wrong."""

    exit_code = 2


class MissingExtra(LakehouseError):
    """A command needs an extra that is not installed."""


class JavaMissing(LakehouseError):
    """Java is missing, or Spark and Kafka do not run on its version."""


class JarsMissing(LakehouseError):
    """The jars of Spark's connectors or of the broker can't be fetched, or differ from the lock file."""


class PortTaken(LakehouseError):
    """Another process listens on the port."""


class BrokerFailed(LakehouseError):
    """The Kafka broker can't be reached, did not start, or has lost records."""


class TopicChanged(LakehouseError):
    """The topic is not the one that bronze was read from, or has lost records that bronze lacks."""


class StreamFailed(LakehouseError):
    """The bronze stream failed."""


class ProcessFailed(LakehouseError):
    """A child process ended unexpectedly."""


class VerifyFailed(LakehouseError):
    """The lake violates a guarantee that `verify` checks."""

    exit_code = 3


class Undelivered(LakehouseError):
    """The broker has not acknowledged some records."""


class LockHeld(LakehouseError):
    """Another process holds the lock."""

    @classmethod
    def by(cls, holder: Mapping[str, Any], *, name: str, hint: str) -> Self:
        """Return the error about a writer that holds a lock.

        Args:
            holder: Its process, JVM, host, job, and since when it has held the lock; empty if it has not written them.
            name: The name of the lock.
            hint: What the user can do.
        """
        what = f"Another process holds the lock of {name}"
        if holder:
            pid, jvm, host, since = (holder.get(part, "unknown") for part in ("pid", "jvm", "host", "since"))
            what = f"Process {pid} has held the lock of {name} since {since} (JVM {jvm}, on {host})"
        return cls(what, hint=hint, name=name, **holder)


class LockLost(LakehouseError):
    """The lease of a lock on S3 has expired, and another process may hold it."""


class ClockWentBack(LakehouseError):
    """The clock is not later than the last ingest instant, so that the order of arrival would be lost."""


class TableMissing(LakehouseError):
    """A table, a version of it, or a detection does not exist."""


class UnknownTable(TableMissing):
    """No table or metric has that name."""

    exit_code = 2


class SchemaDiffers(LakehouseError):
    """A live table has a column of another type than declared, or one that is not declared."""


class SnapshotMissing(LakehouseError):
    """The snapshot does not exist: none is published yet, or the instant or the id is not one of a snapshot."""


class SnapshotExpired(LakehouseError):
    """The snapshot or the version of a table is no longer retained, so that its files may be deleted."""


class InFuture(LakehouseError):
    """The requested instant is in the future."""


class LakeMissing(LakehouseError):
    """The folder of the lake does not exist, or has no tables."""


class BadQuery(LakehouseError):
    """A query names a column, value or window that the table or metric does not have."""

    exit_code = 2


class DiskFull(LakehouseError):
    """No space is left on a disk."""


class Unwritable(LakehouseError):
    """A file or folder can't be written."""


class OutOfMemory(LakehouseError):
    """Spark needs more memory than it has."""


class ClusterFailed(LakehouseError):
    """The Spark cluster can't be reached, or has lost more executors than a job survives."""


class LakeUnreadable(LakehouseError):
    """A file of the lake is missing or damaged."""


class StoreUnreachable(LakeUnreadable):
    """The object store of the lake does not answer, refuses access, or lacks the bucket."""


def name_hint(name: str, known: Collection[str]) -> str:
    """Return a hint for an unknown name: the closest known name, if one is close, and all known names."""
    return f"{did_you_mean(name, known)}Use one of {', '.join(known)}"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the start of a hint for an unknown name: a question with the closest known name, if one is close."""
    return "".join(f"Did you mean {close}? " for close in get_close_matches(name, known, n=1))
