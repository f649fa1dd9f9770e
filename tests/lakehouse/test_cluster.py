from __future__ import annotations

import socket

import pytest
from pyspark.sql import SparkSession

from lakehouse.cluster import require_executor, require_master
from lakehouse.errors import ClusterFailed
from lakehouse.settings import Settings


def settings_with(master: str) -> Settings:
    return Settings(spark_master=master, _env_file=None)


@pytest.mark.parametrize("master", ["spark://127.0.0.1:1", "spark://127.0.0.1:1,127.0.0.1:2", "spark://host"])
def test_a_master_that_does_not_listen_is_named(master: str) -> None:
    with pytest.raises(ClusterFailed, match=f"No Spark master listens at {master}.*LOGINLAKE_SPARK_MASTER"):
        require_master(settings_with(master))


@pytest.mark.parametrize("master", ["local[2]", "yarn", "k8s://https://127.0.0.1:1"])
def test_only_standalone_masters_are_checked(master: str) -> None:
    require_master(settings_with(master))


def test_one_of_several_masters_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        require_master(settings_with(f"spark://127.0.0.1:1,127.0.0.1:{server.getsockname()[1]}"))


def test_a_session_without_executors_is_an_error_instead_of_a_wait_without_end(spark: SparkSession) -> None:
    with pytest.raises(ClusterFailed, match=r"started no executor within 0.2 s.*free memory"):
        require_executor(spark, seconds=0.2)
