"""Java: found, and of a version that Spark and Kafka run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.errors import JavaMissing
from lakehouse.java import java_path, java_version


def a_java(folder: Path, first_line: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{first_line}' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_381"', 8),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ("The operation could not be completed", 0),
    ],
)
def test_the_version_is_the_major_one(tmp_path: Path, line: str, version: int) -> None:
    assert java_version(a_java(tmp_path, line)) == version


def test_java_home_takes_precedence_over_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = a_java(tmp_path / "home", 'openjdk version "21.0.1"')
    other = a_java(tmp_path / "other", 'openjdk version "17.0.1"')
    monkeypatch.setenv("PATH", str(other.parent), prepend=":")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))

    assert java_path() == home


def test_without_java_home_the_path_is_searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = a_java(tmp_path, 'openjdk version "17.0.1"')
    monkeypatch.setenv("PATH", str(java.parent), prepend=":")
    monkeypatch.delenv("JAVA_HOME", raising=False)

    assert java_path() == java


def test_a_java_home_without_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(JavaMissing, match=f"There is no Java in JAVA_HOME={tmp_path}. Install Java 17 or 21"):
        java_path()


@pytest.mark.parametrize("version", ["11.0.2", "1.8.0", "25"])
def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    a_java(tmp_path, f'openjdk version "{version}"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(JavaMissing, match="Install Java 17 or 21"):
        java_path()
