"""Everything that can go wrong, each with the mend a person can apply."""

from __future__ import annotations


class LakehouseError(Exception):
    """One line that says what is wrong, where, and how to mend it.

    Args:
        what: What is wrong and where, without a full stop.
        hint: What the reader can do about it, as an imperative.
        parts: The values the sentence is made of, by name, for programs.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str, **parts: object) -> None:
        super().__init__(f"{what}. {hint}")
        self.what = what
        self.hint = hint
        self.parts = parts


class UsageError(LakehouseError):
    """The command was called with words it does not take."""

    exit_code = 2


class MissingExtra(LakehouseError):
    """A verb needs a part of Loginlake that this install does not have."""


class JavaMissing(LakehouseError):
    """No Java, or not one that Spark and Kafka run on."""


class JarsMissing(LakehouseError):
    """The jars of Spark's connectors or of the broker can't be had, or differ from the lock."""


class PortTaken(LakehouseError):
    """Another process listens where one of ours should."""


class BrokerFailed(LakehouseError):
    """The Kafka broker can't be reached, did not start, or lost what it held."""


class TopicChanged(LakehouseError):
    """The broker's topic is not the one the lake was read from, or has lost records we lack."""


class StreamFailed(LakehouseError):
    """The bronze stream stopped by itself."""


class ProcessFailed(LakehouseError):
    """A process that we started ended as it should not."""


class VerifyFailed(LakehouseError):
    """The lake does not hold what it promises."""

    exit_code = 3


class Undelivered(LakehouseError):
    """Some records were not acknowledged by the broker."""


class LockHeld(LakehouseError):
    """Another writer has the lock."""


class ClockWentBack(LakehouseError):
    """The clock is not past the last ingest time, so the order of arrival would be lost."""


class TableMissing(LakehouseError):
    """A table that should be there is not, or a name is not one of ours."""


class SchemaDiffers(LakehouseError):
    """A live table has other columns than its declaration."""


class SnapshotMissing(LakehouseError):
    """No published snapshot answers the question: none yet, before the first, or an unknown id."""


class SnapshotExpired(LakehouseError):
    """What was asked for is older than the promise of time travel, so that its files may be gone."""


class InFuture(LakehouseError):
    """A moment was asked for that has not come yet."""


class BadQuery(LakehouseError):
    """A question names a column, value or window that the table or metric does not have."""

    exit_code = 2


class DiskFull(LakehouseError):
    """A disk that we write to has no room left."""


class Unwritable(LakehouseError):
    """A place that we must write to can't be written."""


class OutOfMemory(LakehouseError):
    """Spark needs more memory than it was given."""


class LakeUnreadable(LakehouseError):
    """A file of the lake is missing, truncated or garbled."""
