"""Every file of the lake, compared with the checksums that its writer left.

Spark writes a checksum into each Parquet page; page headers and the footer have none. On a file system, Hadoop also
writes `.NAME.crc` beside each file NAME, which covers all of it: the letters `crc` and a zero byte, the number of bytes
in a chunk, then the CRC-32 of each chunk, all big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.progress_bar import Progress
from loginlake.verify.delta_log import DeltaLog, TableFolder

MAGIC = b"crc\x00"
HEADER = struct.Struct(">4si")
PARQUET_END = b"PAR1"
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


def sidecar_name(name: str) -> str:
    """Return the name of the `.crc` file of a file."""
    path = PurePosixPath(name)
    return str(path.with_name(f".{path.name}.crc"))


def find_fault(file: StoredFile) -> str | None:
    """Return what is wrong with a file, or None."""
    try:
        return _fault_in_needed(file) if file.is_needed else _fault_in_unneeded(file)
    except (OSError, pa.ArrowException) as error:
        return f"can't be read: {str(error).splitlines()[0]}" if file.is_needed else None


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


def matches(content: pa.Buffer, sidecar: bytes) -> bool:
    """Return whether the content has exactly the checksums of the sidecar."""
    chunk = chunk_bytes(sidecar)
    return sidecar == HEADER.pack(MAGIC, chunk) + b"".join(checksums_of(content, chunk))


def is_corrupt(content: pa.Buffer, sidecar: bytes) -> bool:
    """Return whether a chunk of a file that may be incomplete differs from its checksum; a partial last one may."""
    chunk = chunk_bytes(sidecar)
    is_complete = ends_like_parquet(memoryview(content)[-len(PARQUET_END) :])
    chunks = -(-content.size // chunk) if is_complete else content.size // chunk
    expected = sidecar[HEADER.size : HEADER.size + 4 * chunks]
    return not b"".join(checksums_of(content, chunk)).startswith(expected)


def ends_like_parquet(tail: memoryview) -> bool:
    """Return whether the last bytes are those of a complete Parquet file, allowing for one changed byte."""
    equal = sum(byte == expected for byte, expected in zip(tail, PARQUET_END, strict=False))
    return equal >= len(PARQUET_END) - 1


def chunk_bytes(sidecar: bytes) -> int:
    """Return how many bytes each checksum of a sidecar covers.

    Raises:
        OSError: The content is not that of a `.crc` file.
    """
    if len(sidecar) < HEADER.size or not sidecar.startswith(MAGIC):
        raise OSError("its .crc file is not readable")
    _, chunk = HEADER.unpack_from(sidecar)
    if chunk <= 0:
        raise OSError("its .crc file is not readable")
    return int(chunk)


def checksums_of(content: pa.Buffer, chunk: int) -> Iterator[bytes]:
    """Yield the checksum of each chunk."""
    view = memoryview(content)
    for start in range(0, len(view), chunk):
        yield zlib.crc32(view[start : start + chunk]).to_bytes(4, "big")


def read_pages(content: pa.Buffer) -> None:
    """Read every page of a Parquet file and compare its checksum.

    Raises:
        OSError: A page differs from its checksum.
        pa.ArrowException: The file is not readable.
    """
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    for group in range(file.num_row_groups):
        file.read_row_group(group)
