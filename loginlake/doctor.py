"""`loginlake doctor`: what this machine lacks, and how to mend it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import time
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from stat import S_ISREG
from typing import ClassVar

from lakehouse.addresses import is_loopback
from lakehouse.conf import conf_folder
from lakehouse.errors import JavaMissing, LakehouseError, UsageError
from lakehouse.jars import LOCK, sha256_of
from lakehouse.java import java_path, java_version
from lakehouse.settings import Settings, load_settings
from loginlake.broker import OTHER_PORT

LEAST_FREE = 2 * 10**9
PROBE_SECONDS = 2.0
DAY_SECONDS = 86_400.0
# A package, and the jar that must have its version.
PAIRED = {"pyspark": "spark-sql-kafka", "delta-spark": "delta-spark"}
WITHOUT_SPARK = "To run jobs: `pip install 'loginlake[spark]'`; reading, verify and serve need none"


class State(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        state: Whether it is as it should be.
        what: What was found.
        hint: What to do about it; empty where nothing is.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("check", "state", "what", "hint")

    check: str
    state: State
    what: str
    hint: str = ""

    def cells(self) -> tuple[str, ...]:
        """The finding as a row of text."""
        return self.check, self.state.value, self.what, self.hint

    def to_dict(self) -> dict[str, str]:
        """The finding for JSON."""
        return asdict(self)


def diagnose() -> list[Finding]:
    """What every check found; nothing is started, fetched or written."""
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
        *(check_package(settings, name) for name in PAIRED),
        *(check_jars(settings, group) for group in ("spark", "broker")),
        *check_kafka(settings),
        check_api(settings),
        *check_disks(settings),
        *check_lake(settings),
    ]


def check_java() -> Finding:
    """Java, as Spark and Kafka take it."""
    try:
        java = java_path()
    except JavaMissing as error:
        return _failed("java", error)
    return Finding("java", State.OK, f"{java_version(java)} at {java}")


def check_package(settings: Settings, name: str) -> Finding:
    """A package of the Spark extra: installed, and of the version that its jar has."""
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Finding(name, State.WARN, "not installed", WITHOUT_SPARK)
    coordinates = tomllib.loads((conf_folder(settings) / "jars.toml").read_text())["spark"]["coordinates"]
    jar = next(coordinate for coordinate in coordinates if PAIRED[name] in coordinate)
    if jar.rpartition(":")[2] != installed:
        return Finding(name, State.FAIL, f"{installed}, but its jar is {jar}", "Install the version of the jar")
    return Finding(name, State.OK, installed)


def check_jars(settings: Settings, group: str) -> Finding:
    """The jars of a group: in the cache, as locked."""
    check = f"{group} jars"
    try:
        from jgo.maven import MavenContext
    except ModuleNotFoundError:
        return Finding(check, State.WARN, "not looked for: jgo is not installed", WITHOUT_SPARK)
    locked: dict[str, str] = json.loads((conf_folder(settings) / LOCK).read_text())[group]
    context = MavenContext()
    absent = sorted(
        coordinate
        for coordinate, sha256 in locked.items()
        if sha256_of(context.create_dependency(coordinate).artifact.cached_path) != sha256
    )
    if absent:
        what = f"{len(absent)} of {len(locked)} are missing or differ from the lock, such as {absent[0]}"
        return Finding(check, State.WARN, what, "They will be fetched; `loginlake jars` does it now")
    return Finding(check, State.OK, f"{len(locked)} in the cache, as locked")


def check_kafka(settings: Settings) -> list[Finding]:
    """The broker and its topic; where none answers, whether ours could listen."""
    try:
        topics = _topics(settings)
    except ModuleNotFoundError:
        hint = "To ask one: `pip install 'loginlake[producer]'`"
        return [Finding("kafka", State.WARN, "not asked: confluent-kafka is not installed", hint)]
    if topics is None:
        return [check_broker_port(settings)]
    return [Finding("kafka", State.OK, f"a broker answers at {settings.kafka}"), check_topic(settings, topics)]


def check_broker_port(settings: Settings) -> Finding:
    """The port of a broker that does not answer: free for ours, or else a fault."""
    host, port = _address(settings.kafka)
    if not is_loopback(host):
        hint = "Start it, or correct LOGINLAKE_KAFKA"
        return Finding("kafka", State.FAIL, f"no broker answers at {settings.kafka}", hint)
    if _is_open(host, port):
        return Finding("kafka", State.FAIL, f"what listens at {settings.kafka} does not answer as a broker", OTHER_PORT)
    return Finding("kafka", State.OK, f"{settings.kafka} is free for `loginlake broker`")


def check_topic(settings: Settings, topics: Collection[str]) -> Finding:
    """Who sets the time of a record: the broker, or whoever sent it."""
    from lakehouse.kafka import timestamp_type

    if settings.topic not in topics:
        return Finding("topic", State.OK, f"{settings.topic} is not there yet; the first producer creates it")
    try:
        found = timestamp_type(settings)
    except LakehouseError as error:
        return _failed("topic", error)
    if found != "LogAppendTime":
        what = f"records of {settings.topic} have their sender's time ({found}), which may be wrong"
        return Finding("topic", State.WARN, what, "Set message.timestamp.type=LogAppendTime on the topic")
    return Finding("topic", State.OK, f"the broker sets the time of records of {settings.topic}")


def check_api(settings: Settings) -> Finding:
    """The API's port: free, or ours."""
    where = f"{settings.host}:{settings.port}"
    if not _is_open(settings.host, settings.port):
        return Finding("api", State.OK, f"{where} is free")
    if _is_our_api(settings):
        return Finding("api", State.OK, f"our API answers at {where}")
    return Finding("api", State.FAIL, f"{where} is taken", "End what listens there, or set LOGINLAKE_PORT")


def check_disks(settings: Settings) -> list[Finding]:
    """Room and the right to write, under the lake where it is a folder, and under the state."""
    places = {"lake disk": settings.root, "state disk": str(settings.state)}
    return [_check_disk(check, Path(place)) for check, place in places.items() if "://" not in place]


def check_lake(settings: Settings) -> list[Finding]:
    """How large a lake on this machine is, and what the last day has added to it."""
    root = Path(settings.root)
    if "://" in settings.root or not root.is_dir():
        return []
    since = time.time() - DAY_SECONDS
    stats = list(_file_stats(root))
    whole, new = sum(stat.st_size for stat in stats), sum(stat.st_size for stat in stats if stat.st_mtime >= since)
    what = f"{_megabytes(whole)} in {len(stats):,} files, {_megabytes(new)} of it from the last 24 hours"
    return [Finding("lake", State.OK, what)]


def _file_stats(root: Path) -> Iterator[os.stat_result]:
    for file in root.rglob("*"):
        try:
            stat = file.stat()
        except FileNotFoundError:  # its writer took it away meanwhile
            continue
        if S_ISREG(stat.st_mode):
            yield stat


def _megabytes(size: int) -> str:
    return f"{size / 10**6:,.1f} MB"


def _check_disk(check: str, place: Path) -> Finding:
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    what = f"{free / 10**9:.1f} GB free under {place}"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Finding(check, State.FAIL, f"{there} can't be written", "Correct its owner, or name another folder")
    if free < LEAST_FREE:
        return Finding(check, State.FAIL, what, f"Free some: {LEAST_FREE / 10**9:g} GB are the least")
    return Finding(check, State.OK, what)


def _failed(check: str, error: LakehouseError) -> Finding:
    return Finding(check, State.FAIL, error.what, error.hint)


def _topics(settings: Settings) -> Collection[str] | None:
    """The broker's topics, None where no broker answers soon."""
    from confluent_kafka import KafkaException

    from lakehouse.kafka import admin_client

    # A refused connection is known at once; librdkafka would try again until the time is over.
    if not any(_is_open(*_address(server)) for server in settings.kafka.split(",")):
        return None
    try:
        return set(admin_client(settings).list_topics(timeout=PROBE_SECONDS).topics)
    except KafkaException:
        return None


def _address(servers: str) -> tuple[str, int]:
    """Host and port of the first server; port 0, at which nothing listens, where it names none."""
    host, _, port = servers.partition(",")[0].strip().rpartition(":")
    return host, int(port) if port.isdigit() else 0


def _is_open(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def _is_our_api(settings: Settings) -> bool:
    connection = HTTPConnection(settings.host, settings.port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/livez")
        return bool(json.load(connection.getresponse()) == {"status": "alive"})
    except (HTTPException, OSError, ValueError):
        return False
    finally:
        connection.close()
