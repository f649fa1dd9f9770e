"""Every file of the lake, compared with the checksums that its writer left.

Spark writes a checksum into each Parquet page; page headers and the footer have none. On a file system, Hadoop's
checksums cover them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.progress_bar import Progress
from loginlake.verify.delta_log import DeltaLog, TableFolder
from serving.checksums import is_corrupt, matches, sidecar_name

DIFFERS = "differs from its checksum"


@dataclass(frozen=True)
class ChecksumResult:
    """The result of comparing every file with its checksums.

    Attributes:
        checked: Number of files that were read.
        without_sidecar: How many of them have no `.crc` file.
        faults: The corrupt files, each with its fault.
        corrupt_tables: Full names of the tables of which a needed file is corrupt.
    """

    checked: int
    without_sidecar: int
    faults: list[str]
    corrupt_tables: set[str]


@dataclass(frozen=True)
class StoredFile:
    """A file to read.

    Attributes:
        folder: The folder of its table.
        name: Its name in that folder.
        has_sidecar: Whether Hadoop's `.crc` file exists.
        is_needed: Whether a verified version needs it. Others may be incomplete, as a killed writer leaves them.
    """

    folder: TableFolder
    name: str
    has_sidecar: bool
    is_needed: bool

    def __str__(self) -> str:
        return f"{self.folder.table.full_name}/{self.name}"


def compare_checksums(logs: Mapping[str, DeltaLog], progress: Progress) -> ChecksumResult:
    """Compare all files that the verified versions need, and all others with a `.crc` file, with their checksums."""
    files = [file for log in logs.values() for file in files_of(log)]
    result = ChecksumResult(len(files), sum(not file.has_sidecar for file in files), [], set())
    for done, file in enumerate(files):
        progress("Reading every file", done, len(files))
        if fault := find_fault(file):
            result.faults.append(f"{file} {fault}")
            if file.is_needed:
                result.corrupt_tables.add(file.folder.table.full_name)
    return result


def files_of(log: DeltaLog) -> Iterator[StoredFile]:
    """Yield the needed files of a table, and its other data files with a `.crc` file."""
    present = log.folder.list_files()
    needed = {*log.log_files, *log.data_files}
    for name in sorted(present):
        has_sidecar = sidecar_name(name) in present
        if name in needed or (has_sidecar and name.endswith(".parquet")):
            yield StoredFile(log.folder, name, has_sidecar, name in needed)


def find_fault(file: StoredFile) -> str | None:
    """Return what is wrong with a file, or None."""
    try:
        return _fault_in_needed(file) if file.is_needed else _fault_in_unneeded(file)
    except (OSError, pa.ArrowException) as error:
        reason, _, _ = str(error).partition("\n")
        return f"can't be read: {reason}" if file.is_needed else None


def _fault_in_needed(file: StoredFile) -> str | None:
    content = file.folder.read(file.name)
    if file.has_sidecar and not matches(content, _sidecar(file)):
        return DIFFERS
    if file.name.endswith(".parquet"):
        read_pages(content)
    return None


def _fault_in_unneeded(file: StoredFile) -> str | None:
    content = file.folder.read(file.name)
    return f"{DIFFERS}; no version needs it, so it may be deleted" if is_corrupt(content, _sidecar(file)) else None


def _sidecar(file: StoredFile) -> bytes:
    sidecar: bytes = file.folder.read(sidecar_name(file.name)).to_pybytes()
    return sidecar


def read_pages(content: pa.Buffer) -> None:
    """Read every page of a Parquet file and compare its checksum.

    Raises:
        OSError: A page differs from its checksum.
        pa.ArrowException: The file is not readable.
    """
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    for group in range(file.num_row_groups):
        file.read_row_group(group)
