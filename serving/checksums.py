"""Hadoop's checksums of a file, which cover all of it.

On a file system, Hadoop writes `.NAME.crc` beside each file NAME: the letters `crc` and a zero byte, the number of
bytes in a chunk, then the CRC-32 of each chunk, all big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

import pyarrow as pa

MAGIC = b"crc\x00"
HEADER = struct.Struct(">4si")
PARQUET_END = b"PAR1"


def sidecar_name(name: str) -> str:
    """Return the name of the `.crc` file of a file."""
    path = PurePosixPath(name)
    return str(path.with_name(f".{path.name}.crc"))


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
