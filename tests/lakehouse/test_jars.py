"""Jars: a jar is taken from the cache only if its checksum is the locked one."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from lakehouse.errors import JarsMissing
from lakehouse.jars import jar_paths
from lakehouse.settings import Settings

COORDINATE = "example.lake:tool:1.0"
CONTENT = b"the jar as it was published"


@pytest.fixture
def settings(conf: Path) -> Settings:
    """A lock of one jar, whose sha256 is that of `CONTENT`."""
    (conf / "jars.lock.json").write_text(json.dumps({"spark": {COORDINATE: sha256(CONTENT).hexdigest()}}))
    return Settings(conf=conf, _env_file=None)


@pytest.fixture(autouse=True)
def jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the jar lies in a cache of the test's own; nothing can be fetched into it."""
    monkeypatch.setenv("M2_REPO", str(tmp_path / "cache"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "cache" / "example" / "lake" / "tool" / "1.0" / "tool-1.0.jar"
    path.parent.mkdir(parents=True)
    return path


def test_a_cached_jar_that_matches_the_lock_is_used(settings: Settings, jar: Path) -> None:
    jar.write_bytes(CONTENT)
    fetched: list[str] = []

    assert jar_paths(settings, "spark", progress=fetched.append) == [jar]
    assert fetched == []


def test_a_process_waits_for_a_jar_that_another_one_fetches(settings: Settings, jar: Path) -> None:
    jar.write_bytes(CONTENT[:5])
    fetching = f"""
import fcntl, time
with open({str(jar.with_suffix(".fetching"))!r}, "a") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print(flush=True)
    time.sleep(1)
    with open({str(jar)!r}, "wb") as jar:
        jar.write({CONTENT!r})
"""
    with subprocess.Popen([sys.executable, "-c", fetching], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        assert jar_paths(settings, "spark") == [jar]


def test_a_jar_that_differs_from_the_lock_is_deleted_and_an_error(settings: Settings, jar: Path) -> None:
    jar.write_bytes(CONTENT + b" and something more")
    fetched: list[str] = []

    with pytest.raises(JarsMissing, match=f"The jar of {COORDINATE} can't be fetched"):
        jar_paths(settings, "spark", progress=fetched.append)
    assert not jar.exists()
    assert fetched == [COORDINATE]


def test_a_jar_that_cannot_be_fetched_is_named_with_a_hint(settings: Settings) -> None:
    with pytest.raises(JarsMissing, match="Check the network and start again") as missing:
        jar_paths(settings, "spark")
    assert missing.value.parts == {"coordinate": COORDINATE}
