"""When a partition of a table should be compacted."""

from __future__ import annotations

from dataclasses import dataclass

# A partition is compacted if it has this many files below this size, which is also the limit of OPTIMIZE in
# conf/spark-defaults.conf. A larger number makes reads slow; with a smaller one each row is rewritten too often.
FRAGMENTS = 8
SMALL_BYTES = 32 << 20


@dataclass(frozen=True)
class Fragmented:
    """A partition with many small files.

    Attributes:
        values: Partition column to value, as in the Delta log.
        files: Number of its small files.
        size: Their total size in bytes.
    """

    values: dict[str, str]
    files: int
    size: int
