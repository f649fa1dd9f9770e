"""The jars of Spark's connectors, of S3 and of the broker: resolved by jgo, locked by sha256, in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lakehouse.conf import conf_folder
from lakehouse.errors import JarsMissing
from lakehouse.settings import Settings

LOCK = "jars.lock.json"


def jar_paths(settings: Settings, group: str, *, progress: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Return the paths of all jars of a group; fetch missing ones, and check each against the lock file.

    Args:
        settings: The settings, which name the folder of the lock file.
        group: `spark`, `s3` or `broker`, a table of `conf/jars.toml`.
        progress: Called with the coordinate of each jar before it is fetched.

    Raises:
        JarsMissing: A jar can't be fetched, or its sha256 differs from the lock file.
    """
    locked = json.loads((conf_folder(settings) / LOCK).read_text())[group]
    return [_checked(coordinate, sha256, progress=progress) for coordinate, sha256 in sorted(locked.items())]


def job_groups(settings: Settings) -> tuple[str, ...]:
    """Return the groups of jars that a Spark job needs."""
    return ("spark", "s3") if settings.is_on_s3 else ("spark",)


def write_lock(settings: Settings) -> None:
    """Resolve the coordinates of `conf/jars.toml` and write the lock file."""
    folder = conf_folder(settings)
    wanted = tomllib.loads((folder / "jars.toml").read_text())
    locks = {
        group: _closure(group, table["coordinates"]) if "coordinates" in table else _locked(table["jars"])
        for group, table in wanted.items()
    }
    (folder / LOCK).write_text(json.dumps(locks, indent=2, sort_keys=True) + "\n")


def _closure(group: str, coordinates: list[str]) -> dict[str, str]:
    """Return coordinate to sha256 of the coordinates and their dependencies.

    Each coordinate is resolved alone: together, jgo would let one manage the versions of the others. If two need the
    same artifact in different versions, the coordinate that is listed first wins.
    """
    from jgo.env import EnvironmentBuilder, EnvironmentSpec
    from jgo.maven import MavenContext

    present = _artifacts_of_pyspark() if group == "spark" else frozenset()
    closure: dict[tuple[str, str], tuple[str, str]] = {}
    for coordinate in coordinates:
        spec = EnvironmentSpec(name=group, coordinates=[coordinate])
        for jar in EnvironmentBuilder(MavenContext()).resolve_lockfile(spec).dependencies:
            if jar.artifactId not in present:
                name = f"{jar.groupId}:{jar.artifactId}:{jar.version}"
                closure.setdefault((jar.groupId, jar.artifactId), (name, jar.sha256))
    return dict(closure.values())


def _locked(jars: list[str]) -> dict[str, str]:
    """Return coordinate to sha256 of jars without their dependencies."""
    from jgo.maven import MavenContext

    context = MavenContext(timeout=60)
    return {jar: sha256_of(_fetched(context.create_dependency(jar).artifact, jar)) for jar in jars}


def _artifacts_of_pyspark() -> frozenset[str]:
    import pyspark

    jars: Iterable[Path] = (Path(pyspark.__file__).parent / "jars").glob("*.jar")
    return frozenset(jar.stem.rpartition("-")[0] for jar in jars)


def _checked(coordinate: str, sha256: str, *, progress: Callable[[str], None]) -> Path:
    """Return the jar of a coordinate; fetch it again if it differs, as after an interrupted download."""
    from jgo.maven import MavenContext

    artifact = MavenContext(timeout=60).create_dependency(coordinate).artifact
    path: Path = artifact.cached_path
    if sha256_of(path) == sha256:
        return path
    with _one_at_a_time(path):
        for _ in range(2):
            if not path.exists():
                progress(coordinate)
            jar = _fetched(artifact, coordinate)
            if sha256_of(jar) == sha256:
                return jar
            jar.unlink()
    raise JarsMissing(
        f"The jar of {coordinate} differs from the lock file, even after it was fetched again",
        hint=f"Find out what changes it on the way, such as a proxy; the expected sha256 is {sha256}",
        coordinate=coordinate,
    )


@contextmanager
def _one_at_a_time(jar: Path) -> Iterator[None]:
    """Wait while another process fetches the jar, which writes it in place."""
    jar.parent.mkdir(parents=True, exist_ok=True)
    with jar.with_suffix(".fetching").open("a") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _fetched(artifact: Any, coordinate: str) -> Path:
    from requests import RequestException

    try:
        path: Path = artifact.resolve()
    except (RequestException, RuntimeError, OSError) as error:
        raise JarsMissing(
            f"The jar of {coordinate} can't be fetched ({type(error).__name__})",
            hint="Check the network and start again; the jars fetched so far are kept",
            coordinate=coordinate,
        ) from error
    return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file; an empty text if it does not exist."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
