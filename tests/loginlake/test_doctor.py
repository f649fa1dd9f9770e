"""`loginlake doctor`: each problem of a machine is found, with a hint."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import NewTopic
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType

from lakehouse.kafka import admin_client, ensure_topic
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from loginlake.doctor import diagnose
from loginlake.doctor.finding import State
from loginlake.doctor.installation import check_jars, check_java, check_package, check_rules
from loginlake.doctor.lake import check_disks, check_lake, check_tables
from loginlake.doctor.servers import check_api, check_kafka
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.serving.lakes import SmallLake, a_login
from tests.waiting import wait_until


def settings_with(tmp_path: Path, **values: object) -> Settings:
    values = {"root": str(tmp_path / "lake"), "state": tmp_path / "state", **values}
    return Settings(_env_file=None, **values)


@pytest.fixture
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loginlake.doctor.servers.ANSWER_SECONDS", 0.2)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken


def port_of(listener: socket.socket) -> int:
    return listener.getsockname()[1]


def test_a_missing_java_fails_with_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    finding = check_java()
    assert (finding.state, finding.what) == (State.FAIL, "Java is not installed")
    assert "Install Java 17 or 21" in finding.hint


def test_the_shipped_rules_are_ok(tmp_path: Path) -> None:
    finding = check_rules(settings_with(tmp_path))

    assert (finding.state, finding.what.endswith("detections.toml")) == (State.OK, True)


def test_a_rule_that_can_not_be_read_fails(loginlake: Loginlake, conf: Path) -> None:
    (conf / "detections.toml").write_text("[brute_force_ip]\ncapcity = 8\n")

    ended = loginlake.with_environment(LOGINLAKE_CONF=str(conf))("doctor", "--json")

    assert ended.returncode == 1
    (finding,) = (each for each in json.loads(ended.stdout) if each["check"] == "rules")
    assert finding["state"] == "fail"
    assert finding["hint"].startswith("Did you mean capacity?")
    assert "detections.toml is not valid: brute_force_ip has no threshold 'capcity'" in finding["what"]


@pytest.mark.parametrize("name", ["pyspark", "delta-spark"])
def test_a_package_with_the_version_of_its_jar_is_ok(tmp_path: Path, name: str) -> None:
    finding = check_package(settings_with(tmp_path), name)

    assert (finding.state, finding.what) == (State.OK, version(name))


def test_a_package_with_another_version_than_its_jar_fails(tmp_path: Path, conf: Path) -> None:
    toml = conf / "jars.toml"
    toml.write_text(toml.read_text().replace("delta-spark_4.2_2.13:4.4.0", "delta-spark_4.2_2.13:4.9.9"))

    finding = check_package(settings_with(tmp_path, conf=conf), "delta-spark")
    assert finding.state is State.FAIL
    assert "4.9.9" in finding.what
    assert "pip install delta-spark==4.9.9" in finding.hint


def test_jars_that_differ_from_the_lock_file_are_a_warning(tmp_path: Path, conf: Path) -> None:
    lock = conf / "jars.lock.json"
    locked = json.loads(lock.read_text())
    coordinate = min(locked["spark"])
    locked["spark"][coordinate] = "0" * 64
    lock.write_text(json.dumps(locked))

    finding = check_jars(settings_with(tmp_path, conf=conf), "spark")
    assert finding.state is State.WARN
    assert finding.what.startswith(f"1 of {len(locked['spark'])} are missing or differ")
    assert coordinate in finding.what
    assert "loginlake jars" in finding.hint


def test_a_free_broker_port_is_ok(tmp_path: Path, free_port: int) -> None:
    (finding,) = check_kafka(settings_with(tmp_path, kafka=f"127.0.0.1:{free_port}"))

    assert (finding.state, finding.what) == (State.OK, f"127.0.0.1:{free_port} is free for `loginlake broker`")


@pytest.mark.usefixtures("_short_timeouts")
def test_a_broker_port_that_something_else_has_taken_fails(tmp_path: Path, listener: socket.socket) -> None:
    (finding,) = check_kafka(settings_with(tmp_path, kafka=f"127.0.0.1:{port_of(listener)}"))

    assert finding.state is State.FAIL
    assert "does not answer as a broker" in finding.what
    assert "LOGINLAKE_KAFKA" in finding.hint


def test_a_broker_elsewhere_that_does_not_answer_fails(tmp_path: Path) -> None:
    (finding,) = check_kafka(settings_with(tmp_path, kafka="kafka.invalid:9092"))

    assert (finding.state, finding.what) == (State.FAIL, "no broker answers at kafka.invalid:9092")


def test_a_free_api_port_is_ok(tmp_path: Path, free_port: int) -> None:
    assert check_api(settings_with(tmp_path, port=free_port)).state is State.OK


@pytest.mark.usefixtures("_short_timeouts")
def test_an_api_port_that_does_not_speak_http_fails(tmp_path: Path, listener: socket.socket) -> None:
    finding = check_api(settings_with(tmp_path, port=port_of(listener)))

    assert finding.state is State.FAIL
    assert "LOGINLAKE_PORT" in finding.hint


class Site(BaseHTTPRequestHandler):
    body: bytes

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize(
    ("body", "expected", "what"),
    [
        ('{"status":"alive","root":"ROOT/lake"}', State.OK, "the API of this lake answers at "),
        ('{"status":"alive","root":"ROOT/other"}', State.FAIL, "it serves ROOT/other, not ROOT/lake"),
        ("<html>another site</html>", State.FAIL, " is taken: "),
        ('["alive"]', State.FAIL, " is taken: "),
    ],
)
def test_an_api_port_is_ok_if_the_api_of_this_lake_answers(
    tmp_path: Path, body: str, expected: State, what: str
) -> None:
    root = str(tmp_path.resolve())
    handler = type("Site", (Site,), {"body": body.replace("ROOT", root).encode()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        answering = threading.Thread(target=server.serve_forever)
        answering.start()
        try:
            finding = check_api(settings_with(tmp_path, port=server.server_port))
        finally:
            server.shutdown()
            answering.join()

    assert finding.state is expected
    assert what.replace("ROOT", root) in finding.what
    assert bool(finding.hint) == (expected is State.FAIL)


def test_a_folder_that_does_not_exist_yet_is_checked_by_its_parent(tmp_path: Path) -> None:
    findings = check_disks(settings_with(tmp_path, root=str(tmp_path / "a" / "b")))

    assert [(finding.check, finding.state) for finding in findings] == [
        ("lake disk", State.OK),
        ("state disk", State.OK),
    ]


def test_a_lake_that_is_not_a_folder_fails(tmp_path: Path) -> None:
    file = tmp_path / "lake"
    file.write_text("")

    lake, _ = check_disks(settings_with(tmp_path))
    assert (lake.state, lake.what) == (State.FAIL, f"{file} is not a writable folder")


def test_too_little_free_space_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loginlake.doctor.lake.MIN_FREE_BYTES", 10**18)

    assert [finding.state for finding in check_disks(settings_with(tmp_path))] == [State.FAIL, State.FAIL]


def test_a_lake_on_s3_has_no_disk_check(tmp_path: Path) -> None:
    (state,) = check_disks(settings_with(tmp_path, root="s3://lake"))

    assert state.check == "state disk"


def test_a_lake_is_reported_with_its_size_and_the_growth_of_the_last_day(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    for name, size, age_seconds in (("new", 3_000_000, 0), ("old", 2_000_000, 90_000)):
        file = tmp_path / "lake" / "silver" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(size))
        os.utime(file, (time.time() - age_seconds,) * 2)

    found, *_ = check_lake(settings)

    assert found.state is State.OK
    assert found.what == "5.0 MB in 2 files, 3.0 MB of it from the last 24 hours"


def test_tables_with_the_declared_columns_are_ok(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    SmallLake(settings).publish([a_login(0)], [])

    (found,) = check_tables(settings)

    assert found.state is State.OK
    assert "declared columns" in found.what


def test_a_table_with_an_undeclared_column_fails_and_is_named(tmp_path: Path) -> None:
    settings = settings_with(tmp_path)
    SmallLake(settings).publish([a_login(0)], [])
    uri = settings.table_uri(EVENTS.layer, EVENTS.name)
    DeltaTable(uri).alter.add_columns([Field("surprise", PrimitiveType("string"))])

    (found,) = check_tables(settings)

    assert found.state is State.FAIL
    assert "silver.events" in found.what
    assert "surprise is not declared" in found.what


def test_wrong_settings_are_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGINLAKE_PORT", "0")

    *_, last = diagnose()
    assert (last.check, last.state) == ("settings", State.FAIL)
    assert "LOGINLAKE_PORT" in last.what


def test_doctor_prints_every_check_and_exits_with_0_if_none_fails(loginlake: Loginlake, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        api_port = port_of(other)
    where = ["--kafka", f"127.0.0.1:{free_port}", "--port", str(api_port)]

    ended = loginlake("doctor", *where)
    findings = json.loads(loginlake("doctor", *where, "--json").stdout)

    checks = [finding["check"] for finding in findings]
    assert {"python", "java", "settings", "spark jars", "broker jars", "kafka", "api", "lake disk"} <= set(checks)
    assert {finding["state"] for finding in findings} <= {"ok", "warn"}
    assert ended.returncode == 0
    assert [check for check in checks if check not in ended.stdout] == []


@pytest.mark.usefixtures("_short_timeouts")
def test_doctor_exits_with_1_if_a_check_fails(loginlake: Loginlake, listener: socket.socket) -> None:
    ended = loginlake("doctor", "--kafka", f"127.0.0.1:{port_of(listener)}")

    assert ended.returncode == 1
    assert "LOGINLAKE_KAFKA" in ended.stdout


def test_doctor_works_without_any_extra(loginlake_process: LoginlakeProcess, free_port: int) -> None:
    bare = loginlake_process.without(
        "pyspark", "delta", "jgo", "confluent_kafka", "polars", "deltalake", "fastapi", "uvicorn"
    )

    findings = json.loads(bare("doctor", "--port", str(free_port), "--json").stdout)
    states = {finding["check"]: finding["state"] for finding in findings}
    assert states["rules"] == states["kafka"] == states["spark jars"] == states["broker jars"] == "warn"


def test_a_broker_address_without_a_port_fails(tmp_path: Path) -> None:
    (finding,) = check_kafka(settings_with(tmp_path, kafka="localhost"))

    assert (finding.state, finding.hint) == (State.FAIL, "Write LOGINLAKE_KAFKA as 127.0.0.1:9092")


def test_a_topic_whose_records_have_the_time_of_their_sender_is_a_warning(tmp_path: Path, kafka: str) -> None:
    settings = settings_with(tmp_path, kafka=kafka, topic=f"ours-{uuid4().hex[:8]}")
    theirs = settings.model_copy(update={"topic": f"theirs-{uuid4().hex[:8]}"})
    _, before = check_kafka(settings)
    ensure_topic(settings)
    admin = admin_client(settings)
    admin.create_topics([NewTopic(theirs.topic, 1)])[theirs.topic].result(30)
    wait_until(lambda: theirs.topic in admin.list_topics(timeout=30).topics)
    _, ours = check_kafka(settings)
    _, others = check_kafka(theirs)

    assert (before.state, before.what) == (
        State.OK, f"{settings.topic} does not exist yet; the first producer creates it",
    )  # fmt: skip
    assert ours.state is State.OK
    assert others.state is State.WARN
    assert "CreateTime" in others.what
    assert "LogAppendTime" in others.hint
