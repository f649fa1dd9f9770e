"""The files of `conf/`: where they are found, and that they are complete."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from lakehouse.conf import CLONED, conf_folder
from lakehouse.errors import UsageError
from lakehouse.fragments import SMALL_BYTES
from lakehouse.settings import Settings

DEFAULTS = CLONED / "spark-defaults.conf"


def test_the_folder_of_a_clone_is_conf() -> None:
    assert conf_folder(Settings(_env_file=None)) == CLONED


def test_a_setting_names_another_folder(conf: Path) -> None:
    assert conf_folder(Settings(conf=conf, _env_file=None)) == conf


def test_a_folder_that_lacks_files_is_refused_with_their_names(conf: Path) -> None:
    for name in ("jars.toml", "detections.toml"):
        (conf / name).unlink()

    with pytest.raises(UsageError, match=r"complete copy of conf/, but lacks detections.toml, jars.toml. Copy them"):
        conf_folder(Settings(conf=conf, _env_file=None))


def test_a_path_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"LOGINLAKE_CONF=.*nowhere is not a folder"):
        conf_folder(Settings(conf=tmp_path / "nowhere", _env_file=None))


def test_spark_compacts_the_files_that_we_call_small() -> None:
    (size,) = re.findall(r"(?m)^spark\.databricks\.delta\.optimize\.minFileSize +(\d+)$", DEFAULTS.read_text())
    assert int(size) == SMALL_BYTES


def test_all_configured_jars_are_locked_by_sha256() -> None:
    wanted = tomllib.loads((CLONED / "jars.toml").read_text())
    locked = json.loads((CLONED / "jars.lock.json").read_text())

    assert set(locked) == set(wanted) == {"spark", "s3", "broker"}
    for group, table in wanted.items():
        assert set(table.get("coordinates", table.get("jars"))) <= set(locked[group])
        assert [sha for sha in locked[group].values() if not re.fullmatch("[0-9a-f]{64}", sha)] == []


def test_jars_have_the_versions_of_the_installed_packages() -> None:
    spark = tomllib.loads((CLONED / "jars.toml").read_text())["spark"]["coordinates"]
    versions = {coordinate.split(":")[1]: coordinate.split(":")[2] for coordinate in spark}

    assert versions == {
        "delta-spark_4.2_2.13": version("delta-spark"),
        "spark-sql-kafka-0-10_2.13": version("pyspark"),
    }
