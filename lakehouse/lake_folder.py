"""Whether there is a lake where the settings name one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import LakeMissing
from lakehouse.s3 import names_below

if TYPE_CHECKING:
    from lakehouse.settings import Settings

LAYERS = ("bronze", "silver", "gold")
LAKE_HINT = "Name the lake with --root or LOGINLAKE_ROOT, or create one with `loginlake demo`"


def check_lake_exists(settings: Settings) -> None:
    """Raise if the folder of the lake does not exist, or has no tables.

    Raises:
        LakeMissing: There is no lake in the folder.
        StoreUnreachable: The lake is on S3, which does not answer or refuses access.
    """
    check_folder_exists(settings)
    if not has_tables(settings):
        place = settings.root if settings.is_on_s3 else f"the folder {Path(settings.root).absolute()}"
        raise LakeMissing(f"There is no lake: {place} has no tables", hint=LAKE_HINT)


def check_folder_exists(settings: Settings) -> None:
    """Raise if the lake is not in a folder; on S3 there are no folders.

    Raises:
        LakeMissing: The folder does not exist, or is a file.
    """
    folder = Path(settings.root).absolute()
    if not settings.is_on_s3 and not folder.is_dir():
        if folder.exists():
            raise LakeMissing(f"There is no lake: {folder} is a file", hint=LAKE_HINT)
        raise LakeMissing(f"There is no lake: the folder {folder} does not exist", hint=LAKE_HINT)


def has_tables(settings: Settings) -> bool:
    """Return whether the lake has the folder of a layer.

    Raises:
        StoreUnreachable: The lake is on S3, which does not answer or refuses access.
    """
    if settings.is_on_s3:
        return not set(LAYERS).isdisjoint(names_below(settings))
    return any((Path(settings.root) / layer).is_dir() for layer in LAYERS)
