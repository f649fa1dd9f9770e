"""Where the files of `conf/` lie: in a clone, in an installed wheel, or where LOGINLAKE_CONF says."""

from __future__ import annotations

from pathlib import Path

from lakehouse.errors import UsageError
from lakehouse.settings import Settings

PACKED = Path(__file__).parent / "conf"
CLONED = Path(__file__).parent.parent / "conf"


def conf_folder(settings: Settings) -> Path:
    """The folder of configuration values.

    Raises:
        UsageError: LOGINLAKE_CONF names no folder, or one that lacks a file.
    """
    shipped = PACKED if PACKED.is_dir() else CLONED
    if settings.conf is None:
        return shipped
    if not settings.conf.is_dir():
        raise UsageError(f"LOGINLAKE_CONF names {settings.conf}, which is no folder", hint="Correct it or unset it")
    if lacking := sorted(file.name for file in shipped.iterdir() if not (settings.conf / file.name).is_file()):
        raise UsageError(
            f"LOGINLAKE_CONF names {settings.conf}, which lacks {', '.join(lacking)}", hint=f"Copy it from {shipped}"
        )
    return settings.conf.resolve()
