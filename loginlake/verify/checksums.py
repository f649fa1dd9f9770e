"""Every byte of the lake, held against the checksums it was written with.

Spark writes a checksum into each Parquet page; they cover neither page headers nor footers. On a file system Hadoop
also writes `.NAME.crc` beside each file NAME, which covers all of it: "crc" and a zero byte, the number of bytes in a
chunk, then a CRC-32 for each chunk, all big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from loginlake.verify.files import RESTORE_FILES
from loginlake.verify.folder import Folder
from loginlake.verify.logs import Log
from loginlake.verify.report import Check, check

MAGIC = b"crc\x00"
HEADER = struct.Struct(">4si")
PARQUET_END = b"PAR1"
DIFFERS = "differs from its checksum"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Item:
    """A file to read.

    Attributes:
        folder: Of its table.
        name: In that folder.
        has_sidecar: True where Hadoop's checksums lie beside it.
        is_needed: True where a verified version needs it; others may be torn, since a killed writer leaves such.
    """

    folder: Folder
    name: str
    has_sidecar: bool
    is_needed: bool

    def __str__(self) -> str:
        return f"{self.folder.table.full_name}/{self.name}"


def checksum_check(logs: Sequence[Log], progress: Progress) -> tuple[Check, set[str]]:
    """Every file that the verified versions need is as it was written, and so is what else lies there.

    Returns:
        The claim, and the full names of the tables of which a needed file is not.
    """
    items = [item for log in logs for item in items_of(log)]
    faults: list[str] = []
    damaged: set[str] = set()
    for done, item in enumerate(items):
        progress("Reading every file", done, len(items))
        if fault := translate_error(item):
            faults.append(f"{item} {fault}")
            if item.is_needed:
                damaged.add(item.folder.table.full_name)
    bare = sum(not item.has_sidecar for item in items)
    notes = [f"{bare:,} files have no .crc beside them: only their pages were checked"] if bare else []
    found = check(
        "every byte of every file is as it was written", faults, checked=len(items), hint=RESTORE_FILES, notes=notes
    )
    return found, damaged


def items_of(log: Log) -> Iterator[Item]:
    """The files of a table: those that are needed, and the other data files that have checksums beside them."""
    there = log.folder.listing()
    needed = {*log.named, *log.files}
    for name in sorted(there):
        has_sidecar = sidecar_of(name) in there
        if name in needed or (has_sidecar and name.endswith(".parquet")):
            yield Item(log.folder, name, has_sidecar, name in needed)


def sidecar_of(name: str) -> str:
    """The name of the file with the checksums of a file."""
    path = PurePosixPath(name)
    return str(path.with_name(f".{path.name}.crc"))


def translate_error(item: Item) -> str | None:
    """What is wrong with a file, None where nothing is."""
    try:
        return _fault_of_needed(item) if item.is_needed else _fault_of_spare(item)
    except (OSError, pa.ArrowException) as error:
        return f"can't be read as it was written: {str(error).splitlines()[0]}" if item.is_needed else None


def _fault_of_needed(item: Item) -> str | None:
    content = item.folder.read(item.name)
    if item.has_sidecar and not agrees(content, _sidecar(item)):
        return DIFFERS
    if item.name.endswith(".parquet"):
        read_pages(content)
    return None


def _fault_of_spare(item: Item) -> str | None:
    content = item.folder.read(item.name)
    return f"{DIFFERS}; no version needs it, so it may be deleted" if damaged(content, _sidecar(item)) else None


def _sidecar(item: Item) -> bytes:
    sidecar: bytes = item.folder.read(sidecar_of(item.name)).to_pybytes()
    return sidecar


def agrees(content: pa.Buffer, sidecar: bytes) -> bool:
    """True where the content has all the checksums of the sidecar, and no more."""
    chunk = chunk_of(sidecar)
    return sidecar == HEADER.pack(MAGIC, chunk) + b"".join(sums_of(content, chunk))


def damaged(content: pa.Buffer, sidecar: bytes) -> bool:
    """True where a chunk differs from its checksum, of a file that may be torn: its last chunk then says nothing."""
    chunk = chunk_of(sidecar)
    is_whole = ends_whole(memoryview(content)[-len(PARQUET_END) :])
    chunks = -(-content.size // chunk) if is_whole else content.size // chunk
    said = sidecar[HEADER.size : HEADER.size + 4 * chunks]
    return not b"".join(sums_of(content, chunk)).startswith(said)


def ends_whole(tail: memoryview) -> bool:
    """True where a Parquet file ends as it should, but for one changed byte."""
    return sum(byte == due for byte, due in zip(tail, PARQUET_END, strict=False)) >= len(PARQUET_END) - 1


def chunk_of(sidecar: bytes) -> int:
    """How many bytes each checksum of a sidecar covers.

    Raises:
        OSError: It is no sidecar.
    """
    if len(sidecar) < HEADER.size or not sidecar.startswith(MAGIC):
        raise OSError("its .crc is garbled")
    _, chunk = HEADER.unpack_from(sidecar)
    if chunk <= 0:
        raise OSError("its .crc is garbled")
    return int(chunk)


def sums_of(content: pa.Buffer, chunk: int) -> Iterator[bytes]:
    """The checksum of each chunk."""
    view = memoryview(content)
    for start in range(0, len(view), chunk):
        yield zlib.crc32(view[start : start + chunk]).to_bytes(4, "big")


def read_pages(content: pa.Buffer) -> None:
    """Reads every page of a Parquet file against its checksum.

    Raises:
        OSError: A page differs.
        pa.ArrowException: The file can't be read.
    """
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    for group in range(file.num_row_groups):
        file.read_row_group(group)
