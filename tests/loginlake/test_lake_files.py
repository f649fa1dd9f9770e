"""The files of a lake are listed while jobs remove some."""

from __future__ import annotations

import shutil
from pathlib import Path

from loginlake.lake_files import files_below


def a_file(path: Path, *, size: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_every_regular_file_has_its_name_and_size(tmp_path: Path) -> None:
    a_file(tmp_path / "a", size=3)
    (tmp_path / "link").symlink_to(a_file(tmp_path / "folder/b", size=5))

    assert {(file.name, file.size) for file in files_below(tmp_path)} == {("a", 3), ("b", 5)}


def test_files_and_folders_that_are_removed_meanwhile_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "folder/c"):
        a_file(tmp_path / name)
    found = files_below(tmp_path)

    first = next(found)
    (tmp_path / ({"a", "b"} - {first.name}).pop()).unlink()
    shutil.rmtree(tmp_path / "folder")

    assert list(found) == []


def test_a_folder_that_does_not_exist_has_no_files(tmp_path: Path) -> None:
    assert list(files_below(tmp_path / "none")) == []
