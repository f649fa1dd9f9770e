"""The folder of a table: what lies there, and its bytes; on this machine or in an object store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, PyFileSystem, SubTreeFileSystem

from lakehouse.settings import Settings
from lakehouse.tables.model import Table

if TYPE_CHECKING:
    import pyarrow as pa

LOG = "_delta_log"


@dataclass(frozen=True)
class Folder:
    """Where a table lies; names are relative to it."""

    table: Table
    files: FileSystem

    def listing(self, below: str = "") -> dict[str, int]:
        """The size of every file, by name; empty where there is no such folder."""
        found = self.files.get_file_info(FileSelector(below, recursive=True, allow_not_found=True))
        return {info.path: info.size for info in found if info.type == FileType.File}

    def read(self, name: str) -> pa.Buffer:
        """The bytes of a file.

        Raises:
            OSError: It can't be read.
        """
        with self.files.open_input_file(name) as file:
            return file.read_buffer()


def folder_of(settings: Settings, table: Table) -> Folder:
    """The folder of the table in the lake of the settings."""
    uri = settings.table_uri(table.layer, table.name)
    if "://" not in uri:
        return Folder(table, SubTreeFileSystem(str(Path(uri).absolute()), LocalFileSystem()))
    from deltalake.fs import DeltaStorageHandler

    return Folder(table, PyFileSystem(DeltaStorageHandler(uri)))
