"""The folder of the files in `conf/`: of a clone, of an installed wheel, or the one that LOGINLAKE_CONF names."""

from __future__ import annotations

from pathlib import Path

from lakehouse.errors import UsageError
from lakehouse.settings import Settings

PACKED = Path(__file__).parent / "conf"
CLONED = Path(__file__).parent.parent / "conf"


def shipped_folder() -> Path:
    """Return the folder of the files that this release ships."""
    return PACKED if PACKED.is_dir() else CLONED


def conf_folder(settings: Settings) -> Path:
    """Return the folder of the configuration files.

    Raises:
        UsageError: LOGINLAKE_CONF is not a folder, or the folder lacks a file.
    """
    shipped = shipped_folder()
    if settings.conf is None:
        return shipped
    if not settings.conf.is_dir():
        raise UsageError(f"LOGINLAKE_CONF={settings.conf} is not a folder", hint="Correct it or unset it")
    if missing := sorted(file.name for file in shipped.iterdir() if not (settings.conf / file.name).is_file()):
        raise UsageError(
            f"LOGINLAKE_CONF={settings.conf} must be a complete copy of conf/, but lacks {', '.join(missing)}",
            hint=f"Copy {'it' if len(missing) == 1 else 'them'} from {shipped}",
        )
    return settings.conf.resolve()
