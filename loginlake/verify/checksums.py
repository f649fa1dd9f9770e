"""Every byte of the lake, held against the checksums it was written with.

Spark writes a checksum into each Parquet page; they cover neither page headers nor footers. On a file system Hadoop
also writes `.NAME.crc` beside each file NAME, which covers all of it: "crc" and a zero byte, the number of bytes in a
chunk, then a CRC-32 for each chunk, all big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from loginlake.verify.files import RESTORE_FILES
from loginlake.verify.folder import Folder
from loginlake.verify.logs import Log
from loginlake.verify.report import Check, judged

MAGIC = b"crc\x00"
HEADER_BYTES = 8

Progress = Callable[[str, int, int], None]


def checksum_check(logs: Sequence[Log], progress: Progress) -> Check:
    """Every file that the verified versions need is as it was written."""
    listings = {log.name: log.folder.listing() for log in logs}
    wanted = [(log, name) for log in logs for name in (*log.named, *sorted(log.files)) if name in listings[log.name]]
    faults, bare = [], 0
    for done, (log, name) in enumerate(wanted):
        progress("Reading every file", done, len(wanted))
        has_sidecar = sidecar_of(name) in listings[log.name]
        bare += not has_sidecar
        if fault := fault_of(log.folder, name, has_sidecar=has_sidecar):
            faults.append(f"{log.name}/{name} {fault}")
    notes = [f"{bare:,} files have no .crc beside them: only their pages were checked"] if bare else []
    return judged(
        "every byte of every file is as it was written", faults, checked=len(wanted), mend=RESTORE_FILES, notes=notes
    )


def sidecar_of(name: str) -> str:
    """The name of the file with the checksums of a file."""
    path = PurePosixPath(name)
    return str(path.with_name(f".{path.name}.crc"))


def fault_of(folder: Folder, name: str, *, has_sidecar: bool) -> str | None:
    """What is wrong with a file, None where nothing is.

    Args:
        folder: The table's.
        name: The file in it.
        has_sidecar: True where Hadoop's checksums lie beside it.
    """
    try:
        content = folder.read(name)
        if has_sidecar and not agrees(content, folder.read(sidecar_of(name)).to_pybytes()):
            return "differs from its checksum"
        if name.endswith(".parquet"):
            read_pages(content)
    except (OSError, pa.ArrowException) as error:
        return f"can't be read as it was written: {str(error).splitlines()[0]}"
    return None


def agrees(content: pa.Buffer, sidecar: bytes) -> bool:
    """True where the content has the checksums of the sidecar."""
    if len(sidecar) < HEADER_BYTES or not sidecar.startswith(MAGIC):
        return False
    (chunk,) = struct.unpack(">i", sidecar[len(MAGIC) : HEADER_BYTES])
    if chunk <= 0:
        return False
    view = memoryview(content)
    sums = [zlib.crc32(view[start : start + chunk]) for start in range(0, len(view), chunk)]
    return sidecar[HEADER_BYTES:] == struct.pack(f">{len(sums)}I", *sums)


def read_pages(content: pa.Buffer) -> None:
    """Reads every page of a Parquet file against its checksum.

    Raises:
        OSError: A page differs.
        pa.ArrowException: The file can't be read.
    """
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    for group in range(file.num_row_groups):
        file.read_row_group(group)
