"""`loginlake doctor`: checks of this machine and the settings; each finding has a hint how to fix it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lakehouse import s3
from lakehouse.addresses import (
    any_server_listens,
    is_listening,
    is_loopback,
    listening_process,
    other_port_hint,
    server_addresses,
)
from lakehouse.cluster import require_master
from lakehouse.conf import conf_folder
from lakehouse.errors import (
    BrokerFailed,
    ClusterFailed,
    JavaMissing,
    LakehouseError,
    LockHeld,
    StoreUnreachable,
    TableMissing,
    TopicChanged,
    UsageError,
)
from lakehouse.jars import LOCK, job_groups, sha256_of
from lakehouse.java import java_path, java_version
from lakehouse.locks import refuse_second_writer
from lakehouse.settings import Settings, load_settings
from lakehouse.tables import TABLES
from loginlake.broker import check_data_unused, other_broker_port
from loginlake.lake_files import lake_files
from loginlake.preflight import check_topic_of_lake

MIN_FREE_BYTES = 2 * 10**9
ANSWER_SECONDS = 2.0
DAY_SECONDS = 86_400.0
# Packages whose version must be that of a jar, and a part of the jar's coordinate.
JARS_OF_PACKAGES = {"pyspark": "spark-sql-kafka", "delta-spark": "delta-spark"}
INSTALL_READERS = "To compare them: `pip install 'loginlake[serving]'`"
INSTALL_SPARK = "To run jobs: `pip install 'loginlake[spark]'`; reading, verify and serve work without it"


class State(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Name of the check.
        state: Severity.
        what: What was found.
        hint: How to fix it; empty if nothing is wrong.
    """

    check: str
    state: State
    what: str
    hint: str = ""


def diagnose() -> list[Finding]:
    """Run all checks and return their findings; nothing is started, fetched or written."""
    python = Finding("python", State.OK, platform.python_version())
    try:
        settings = load_settings()
        conf_folder(settings)
    except UsageError as error:
        return [python, check_java(), _failed("settings", error)]
    return [
        python,
        check_java(),
        Finding("settings", State.OK, f"lake at {settings.root}, state at {settings.state}"),
        *(check_package(settings, name) for name in JARS_OF_PACKAGES),
        *(check_jars(settings, group) for group in (*job_groups(settings), "broker")),
        *check_store(settings),
        *check_cluster(settings),
        *check_locks(settings),
        *check_kafka(settings),
        check_api(settings),
        *check_disks(settings),
        *check_lake(settings),
    ]


def check_java() -> Finding:
    """Check that Java is installed, in a version that Spark and Kafka support."""
    try:
        java = java_path()
    except JavaMissing as error:
        return _failed("java", error)
    return Finding("java", State.OK, f"{java_version(java)} at {java}")


def check_package(settings: Settings, name: str) -> Finding:
    """Check that a package of the Spark extra is installed, in the version of its jar."""
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Finding(name, State.WARN, "not installed", INSTALL_SPARK)
    coordinates = tomllib.loads((conf_folder(settings) / "jars.toml").read_text())["spark"]["coordinates"]
    jar = next(coordinate for coordinate in coordinates if JARS_OF_PACKAGES[name] in coordinate)
    expected = jar.rpartition(":")[2]
    if expected != installed:
        hint = f"Install the version of the jar: `pip install {name}=={expected}`"
        return Finding(name, State.FAIL, f"{installed}, but its jar is {jar}", hint)
    return Finding(name, State.OK, installed)


def check_jars(settings: Settings, group: str) -> Finding:
    """Check that the jars of a group are in the cache and match the lock file."""
    check = f"{group} jars"
    try:
        from jgo.maven import MavenContext
    except ModuleNotFoundError:
        return Finding(check, State.WARN, "not checked: jgo is not installed", INSTALL_SPARK)
    locked: dict[str, str] = json.loads((conf_folder(settings) / LOCK).read_text())[group]
    context = MavenContext()
    absent = sorted(
        coordinate
        for coordinate, sha256 in locked.items()
        if sha256_of(context.create_dependency(coordinate).artifact.cached_path) != sha256
    )
    if absent:
        what = f"{len(absent)} of {len(locked)} are missing or differ from the lock file, such as {absent[0]}"
        return Finding(check, State.WARN, what, "The next start fetches them; `loginlake jars` does it now")
    return Finding(check, State.OK, f"{len(locked)} in the cache match the lock file")


def check_store(settings: Settings) -> list[Finding]:
    """Check that the store of a lake on S3 answers and lets us list it; it may have no lake yet."""
    if not settings.is_on_s3:
        return []
    where = s3.endpoint() or "Amazon S3"
    try:
        s3.names_below(settings)
    except StoreUnreachable as error:
        return [_failed("s3", error)]
    except ModuleNotFoundError:
        return [Finding("s3", State.WARN, "not checked: pyarrow is not installed", INSTALL_READERS)]
    return [Finding("s3", State.OK, f"{where} answers")]


def check_cluster(settings: Settings) -> list[Finding]:
    """Check that the master of a standalone cluster listens."""
    if not settings.is_on_cluster:
        return []
    try:
        require_master(settings)
    except ClusterFailed as error:
        return [_failed("cluster", error)]
    return [Finding("cluster", State.OK, f"jobs run on {settings.spark_master}")]


def check_locks(settings: Settings) -> list[Finding]:
    """Report which job writes the lake now; `demo` and `up` don't start beside it."""
    try:
        refuse_second_writer(settings, "stack", "bronze", "refresh")
    except LockHeld as held:
        return [Finding("lock", State.WARN, held.what, held.hint)]
    except OSError as error:
        return [Finding("lock", State.WARN, f"the locks of the lake can't be read ({error.strerror})")]
    return [Finding("lock", State.OK, "no job writes the lake")]


def check_kafka(settings: Settings) -> list[Finding]:
    """Check the broker and its topic; if no broker answers, check whether the embedded one could listen."""
    try:
        topics = _topics(settings)
    except BrokerFailed as error:
        return [_failed("kafka", error)]
    except ModuleNotFoundError:
        hint = "To check the broker: `pip install 'loginlake[producer]'`"
        return [Finding("kafka", State.WARN, "not checked: confluent-kafka is not installed", hint)]
    if topics is None:
        return [check_broker_port(settings)]
    return [check_broker(settings), check_topic(settings, topics)]


def check_broker(settings: Settings) -> Finding:
    """Check that the broker is the one of this lake, and whether `demo` and `up` can start beside it."""
    answers = f"a broker answers at {settings.kafka}"
    try:
        check_topic_of_lake(settings)
    except TopicChanged as error:
        return Finding("kafka", State.FAIL, f"not this lake's broker: {error.what}", error.hint)
    except LakehouseError as error:
        return _failed("kafka", error)
    except ModuleNotFoundError:
        return Finding("kafka", State.WARN, f"{answers}; its topic was not compared with bronze's", INSTALL_READERS)
    if settings.kafka_is_given or _runs_embedded_broker(settings):
        return Finding("kafka", State.OK, answers)
    what = f"{answers}, where `demo` and `up` start their own ({listening_process(settings.kafka_port)} listens there)"
    hint = f"{other_broker_port(settings)}. To use this broker instead: `--kafka {settings.kafka}`"
    return Finding("kafka", State.WARN, what, hint)


def check_broker_port(settings: Settings) -> Finding:
    """Check the address at which no broker answers: is it free for the embedded broker?"""
    host, port = server_addresses(settings.kafka)[0]
    if not is_loopback(host):
        hint = "Start it, or correct LOGINLAKE_KAFKA"
        return Finding("kafka", State.FAIL, f"no broker answers at {settings.kafka}", hint)
    if is_listening(host, port):
        what = f"{listening_process(port)} listens at {settings.kafka} and does not answer as a broker"
        return Finding("kafka", State.FAIL, what, other_broker_port(settings))
    return Finding("kafka", State.OK, f"{settings.kafka} is free for `loginlake broker`")


def check_topic(settings: Settings, topics: Collection[str]) -> Finding:
    """Check that the broker, and not the sender, sets the time of a record."""
    from lakehouse.kafka import timestamp_type

    if settings.topic not in topics:
        return Finding("topic", State.OK, f"{settings.topic} does not exist yet; the first producer creates it")
    try:
        found = timestamp_type(settings)
    except LakehouseError as error:
        return _failed("topic", error)
    if found != "LogAppendTime":
        what = f"records of {settings.topic} have the time of their sender ({found}), which may be wrong"
        return Finding("topic", State.WARN, what, "Set message.timestamp.type=LogAppendTime on the topic")
    return Finding("topic", State.OK, f"the broker sets the time of records of {settings.topic}")


def check_api(settings: Settings) -> Finding:
    """Check that the API's port is free, or that our API answers there."""
    address = f"{settings.host}:{settings.port}"
    if not is_listening(settings.host, settings.port):
        return Finding("api", State.OK, f"{address} is free")
    if _is_our_api(settings):
        return Finding("api", State.OK, f"our API answers at {address}")
    what = f"{address} is taken: {listening_process(settings.port)} listens there"
    return Finding("api", State.FAIL, what, other_port_hint("port", 8080))


def check_disks(settings: Settings) -> list[Finding]:
    """Check that the folders of the lake (if it is one) and of the state are writable and have free space."""
    places = {"lake disk": settings.root, "state disk": str(settings.state)}
    return [_check_disk(check, Path(place)) for check, place in places.items() if "://" not in place]


def check_lake(settings: Settings) -> list[Finding]:
    """Report the size of the lake, how much of it was written in the last 24 hours, and whether its tables open."""
    try:
        files = list(lake_files(settings))
    except (OSError, ModuleNotFoundError):  # a store that does not answer is a finding of `check_store`
        return []
    if not files:
        return []
    since = time.time() - DAY_SECONDS
    total, new = sum(file.size for file in files), sum(file.size for file in files if file.changed_at >= since)
    what = f"{_megabytes(total)} in {len(files):,} files, {_megabytes(new)} of it from the last 24 hours"
    return [Finding("lake", State.OK, what), *check_tables(settings)]


def check_tables(settings: Settings) -> list[Finding]:
    """Check that each table can be opened and has the declared columns; a later release may have added some."""
    try:
        from serving.delta_tables import DeltaTables, scan
    except ModuleNotFoundError:
        return [Finding("tables", State.WARN, "not checked: deltalake is not installed", INSTALL_READERS)]
    tables, opened, failed = DeltaTables(settings), 0, []
    for table in TABLES.values():
        try:
            scan(table, tables.newest(table))
        except TableMissing:
            continue
        except LakehouseError as error:
            failed.append(_failed("tables", error))
        opened += 1
    return failed or [Finding("tables", State.OK, f"{opened} can be opened and have the declared columns")]


def _megabytes(size: int) -> str:
    return f"{size / 10**6:,.1f} MB"


def _check_disk(check: str, place: Path) -> Finding:
    existing = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    what = f"{free / 10**9:.1f} GB free under {place}"
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        hint = "Change its owner or permissions, or set another folder"
        return Finding(check, State.FAIL, f"{existing} is not a writable folder", hint)
    if free < MIN_FREE_BYTES:
        return Finding(check, State.FAIL, what, f"Free some space: at least {MIN_FREE_BYTES / 10**9:g} GB are needed")
    return Finding(check, State.OK, what)


def _failed(check: str, error: LakehouseError) -> Finding:
    return Finding(check, State.FAIL, error.what, error.hint)


def _topics(settings: Settings) -> Collection[str] | None:
    """Return the broker's topics, or None if no broker answers within a few seconds."""
    from confluent_kafka import KafkaException

    from lakehouse.kafka import admin_client

    if not any_server_listens(settings.kafka):
        return None
    try:
        return set(admin_client(settings).list_topics(timeout=ANSWER_SECONDS).topics)
    except KafkaException:
        return None


def _runs_embedded_broker(settings: Settings) -> bool:
    """Return True if a broker uses the data in STATE."""
    try:
        check_data_unused(settings)
    except BrokerFailed:
        return True
    return False


def _is_our_api(settings: Settings) -> bool:
    connection = HTTPConnection(settings.host, settings.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/livez")
        return bool(json.load(connection.getresponse()) == {"status": "alive"})
    except (HTTPException, OSError, ValueError):
        return False
    finally:
        connection.close()
