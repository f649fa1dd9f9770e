from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.session import add_log_store, cluster_settings, package_archive, page_settings
from lakehouse.settings import Settings


def test_spark_has_no_pages_unless_a_port_is_set() -> None:
    assert page_settings(Settings(_env_file=None)) == {}


def test_a_port_turns_on_pages_that_only_show() -> None:
    settings = page_settings(Settings(spark_ui_port=4040, _env_file=None))

    assert (settings["spark.ui.enabled"], settings["spark.ui.port"]) == ("true", "4040")
    assert settings["spark.ui.killEnabled"] == "false"


def test_the_settings_of_a_cluster_are_read_like_those_of_spark_defaults(conf: Path) -> None:
    (conf / "spark-cluster.conf").write_text("# A comment\n\nspark.a   1\nspark.b\t-X -Y \n")

    assert cluster_settings(Settings(conf=conf, _env_file=None)) == {"spark.a": "1", "spark.b": "-X -Y"}


def test_python_workers_can_import_what_they_run_from_the_shipped_archive(tmp_path: Path) -> None:
    archive = package_archive(tmp_path / "scratch")
    program = f"""
import sys
sys.path = [path for path in sys.path if path and "site-packages" in path or "python3" in path]
sys.path.insert(0, {str(archive)!r})
import gold.rules.evaluate, silver.decode
from gold.rules.countries import positions
assert positions()
print(gold.rules.evaluate.__file__, silver.decode.__file__)
"""

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert found == [f"{archive}/gold/rules/evaluate.py", f"{archive}/silver/decode.py"]


def test_spark_compiles_the_class_that_writes_commits_on_s3(spark: SparkSession, tmp_path: Path) -> None:
    add_log_store(spark, folder=tmp_path)

    loader = spark._jvm.org.apache.spark.util.Utils.getContextOrSparkClassLoader()
    log_store = spark._jvm.java.lang.Class.forName("loginlake.ConditionalLogStore", True, loader)
    assert log_store.getSuperclass().getName() == "io.delta.storage.S3SingleDriverLogStore"
