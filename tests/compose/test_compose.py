"""The compose file and the Dockerfiles, checked without Docker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.settings import Settings
from tests.compose.conftest import CLONE

DOCKERFILES = sorted((CLONE / "docker").glob("*.Dockerfile"))
PINNED = re.compile(r"[a-z/-]+:[0-9][a-z0-9.-]*")


def test_the_file_is_valid_against_the_compose_specification() -> None:
    words = ["--builtin-schema", "vendor.compose-spec", str(CLONE / "docker-compose.yml")]
    checked = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), *words], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_there_is_a_service_per_layer(services) -> None:
    of_cluster = {name for name, service in services.items() if "profiles" in service}

    assert set(services) - of_cluster == {"kafka", "producer", "bronze", "refresh", "serving"}
    assert of_cluster == {
        *("seaweedfs", "spark-master", "spark-worker"),
        *("cluster-producer", "cluster-bronze", "cluster-refresh", "cluster-serving"),
    }


def test_every_image_names_its_version(services) -> None:
    assert [service["image"] for service in services.values() if not PINNED.fullmatch(service["image"])] == []


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_every_base_image_names_its_python_and_its_debian_release(dockerfile: Path) -> None:
    bases = re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE)

    assert bases == ["python:3.11-slim-bookworm"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_no_image_runs_as_root(dockerfile: Path) -> None:
    assert re.findall(r"^USER (\S+)", dockerfile.read_text(), re.MULTILINE) == ["loginlake"]


def test_every_service_except_kafka_and_the_store_is_built_from_an_existing_dockerfile(services) -> None:
    built = {name: CLONE / service["build"]["dockerfile"] for name, service in services.items() if "build" in service}

    assert set(built) == set(services) - {"kafka", "seaweedfs"}
    assert [path for path in built.values() if path not in DOCKERFILES] == []


def test_only_the_api_is_published_and_only_on_loopback(services) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}

    assert published == {name: ["127.0.0.1:8000:8000"] for name in ("serving", "cluster-serving")}


@pytest.mark.parametrize("name", ["serving", "producer"])
def test_an_image_without_spark_installs_no_pyspark(services, name: str) -> None:
    dockerfile = (CLONE / services[name]["build"]["dockerfile"]).read_text()
    (requirements,) = re.findall(r"-r (\S+)", dockerfile)

    installed = set(re.findall(r"^([a-z0-9-]+)==", (CLONE / requirements).read_text(), re.MULTILINE))
    assert "confluent-kafka" in installed
    assert not installed & {"pyspark", "delta-spark", "py4j"}
    assert "jdk" not in dockerfile
    assert "jre" not in dockerfile


def test_executors_get_no_keys_and_share_no_folder_with_their_driver(services) -> None:
    worker = services["spark-worker"]

    assert not [name for name in worker["environment"] if name.startswith(("AWS_", "LOGINLAKE_"))]
    assert worker["volumes"] == []


def test_every_loginlake_variable_is_a_setting(services) -> None:
    variables = {
        variable for service in services.values() for variable in service["environment"] if variable[:4] == "LOGI"
    }

    assert variables <= {f"LOGINLAKE_{name.upper()}" for name in Settings.model_fields}
