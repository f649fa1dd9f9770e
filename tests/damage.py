"""Damage to the files of a Delta table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

Damage = Callable[[Path], object]


def commits(table: Path) -> list[Path]:
    """Return the commit files of a table, oldest first."""
    return sorted((table / "_delta_log").glob("*.json"))


def newest_file(table: Path) -> Path:
    """Return the data file that was written last."""
    files = (file for file in table.rglob("*.parquet") if "_delta_log" not in file.parts)
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def flip(file: Path, position: int) -> None:
    """Flip one bit of the byte at a position."""
    changed = bytearray(file.read_bytes())
    changed[position] ^= 0x10
    _replace(file, bytes(changed))


def flip_username(table: Path) -> None:
    """Flip one bit of a user name in the newest data file; the file stays readable."""
    file = newest_file(table)
    group = pq.ParquetFile(file).metadata.row_group(0)
    usernames = next(
        column for at in range(group.num_columns) if (column := group.column(at)).path_in_schema == "username"
    )
    flip(file, usernames.data_page_offset - 1)  # the end of the dictionary: the last letter of its last value


def remove_checkpoint(table: Path) -> None:
    """Delete the checkpoint that `_last_checkpoint` names."""
    (checkpoint,) = (table / "_delta_log").glob("*.checkpoint*.parquet")
    checkpoint.unlink()


def garble_pointer(table: Path) -> None:
    """Overwrite `_last_checkpoint` with garbage."""
    _replace(table / "_delta_log" / "_last_checkpoint", b"garbage{")


def _replace(file: Path, content: bytes) -> None:
    """Replace the content and delete Hadoop's checksum file, which would reveal the change."""
    (file.parent / f".{file.name}.crc").unlink(missing_ok=True)
    file.write_bytes(content)


COMMIT_DAMAGES: dict[str, Damage] = {
    "removed": lambda table: commits(table)[-1].unlink(),
    "empty": lambda table: _replace(commits(table)[-1], b""),
    "garbage": lambda table: _replace(commits(table)[-1], b"garbage{"),
}
FILE_DAMAGES: dict[str, Damage] = {
    "truncated": lambda table: _replace(newest_file(table), newest_file(table).read_bytes()[:-20]),
    "missing": lambda table: newest_file(table).unlink(),
}
