"""What `demo` and `up` check before they start anything, and the commands that the demo suggests."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lakehouse.errors import BrokerFailed, PortTaken
from lakehouse.settings import Settings
from loginlake.broker import broker_folder
from loginlake.demo import move_aside, run_demo
from loginlake.demo_report import Scenario, print_next_commands, scenarios
from loginlake.local_stack import check_startable
from tests.serving.lakes import SmallLake, a_login, settings_of

# Kafka holds such a lock on its data while it runs; tests/loginlake/test_broker.py shows it with a real broker.
LOCKING = """
import fcntl, sys
with open(sys.argv[1], "wb") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _no_broker_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGINLAKE_KAFKA", raising=False)


@pytest.fixture
def _usual_port_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default port of the broker may be taken on this machine."""
    monkeypatch.setattr("loginlake.demo.check_port_free", lambda _: None)


def a_lake_with_a_broker(folder: Path, **settings: Any) -> Settings:
    """A folder of a lake and one of a broker's data, each with a file."""
    made = Settings(root=str(folder / "lake"), state=folder / "state", _env_file=None, **settings)
    for place in (Path(made.root), broker_folder(made)):
        place.mkdir(parents=True)
        (place / "before").touch()
    return made


@contextmanager
def locked_by_another_process(file: Path) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        yield


def test_a_given_broker_that_does_not_answer_is_reported_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, free_port: int, tmp_path: Path
) -> None:
    monkeypatch.setattr("lakehouse.kafka.TIMEOUT", 0.5)
    settings = Settings(kafka="127.0.0.1:1", port=free_port, state=tmp_path / "state", _env_file=None)

    with pytest.raises(BrokerFailed, match="correct LOGINLAKE_KAFKA"):
        check_startable(settings)


@pytest.mark.usefixtures("_usual_port_is_free")
def test_a_fresh_start_moves_the_lake_and_the_data_of_the_broker_aside(tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path)

    move_aside(settings, Console(quiet=True))

    assert not Path(settings.root).exists()
    assert not broker_folder(settings).exists()
    assert len(list(tmp_path.glob("lake.*/before"))) == len(list(tmp_path.glob("state/broker.*/before"))) == 1


def test_a_fresh_start_with_a_given_broker_leaves_the_data_of_the_embedded_one(tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path, kafka="127.0.0.1:9")

    move_aside(settings, Console(quiet=True))

    assert not Path(settings.root).exists()
    assert (broker_folder(settings) / "before").exists()


def test_a_fresh_start_moves_nothing_while_a_broker_uses_the_data(tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path)
    data = broker_folder(settings) / "data"
    data.mkdir()

    with locked_by_another_process(data / ".lock"), pytest.raises(BrokerFailed, match="Another broker uses the data"):
        move_aside(settings, Console(quiet=True))
    assert (Path(settings.root) / "before").exists()


def test_a_fresh_start_moves_nothing_if_the_port_of_the_api_is_taken(taken_port: int, tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path, port=taken_port)

    with pytest.raises(PortTaken, match="--port"):
        run_demo(settings, once=True, fresh=True)
    assert (Path(settings.root) / "before").exists()


def test_the_suggested_commands_name_the_settings_that_differ_from_the_defaults(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "a lake").model_copy(update={"port": 8081, "allow_unauthenticated": True})
    snapshot = SmallLake(settings).publish([a_login(0)], [])
    printed = StringIO()

    print_next_commands(Console(file=printed), settings, snapshot=snapshot, is_live=False)

    commands = [shlex.split(line, comments=True) for line in printed.getvalue().splitlines() if "loginlake" in line]
    assert len(commands) == 6
    for command in commands:
        assert command[command.index("--root") + 1] == settings.root
        assert {"--port", "--allow-unauthenticated"} <= set(command)


def an_attack(**fields: Any) -> dict[str, Any]:
    """An entry of the producer's truth file: an attack from 10:00 to 11:00."""
    return {
        "scenario": "brute_force", "rule": "brute_force_ip", "entity_type": "src_ip", "entity": "198.51.100.1",
        "also": [], "first_at": "2026-02-01T10:00:00+00:00", "last_at": "2026-02-01T11:00:00+00:00",
    } | fields  # fmt: skip


def a_detection_at(first_hour: int, last_hour: int, *, entity: str = "198.51.100.1") -> dict[str, Any]:
    first_at, last_at = (datetime(2026, 2, 1, hour, tzinfo=UTC) for hour in (first_hour, last_hour))
    return {"entity_type": "src_ip", "entity": entity, "first_at": first_at, "last_at": last_at}


@pytest.mark.parametrize(
    ("detection", "found"),
    [
        (a_detection_at(9, 10), 1),
        (a_detection_at(11, 12), 1),
        (a_detection_at(12, 13), 0),
        (a_detection_at(8, 9), 0),
        (a_detection_at(10, 11, entity="198.51.100.2"), 0),
    ],
)
def test_an_attack_is_found_by_a_detection_of_its_entity_at_the_same_time(
    detection: dict[str, Any], found: int
) -> None:
    assert scenarios([an_attack()], [detection]) == [Scenario("brute_force", 1, found, "brute_force_ip")]


def test_an_attack_is_found_by_a_detection_of_its_other_entity() -> None:
    attack = an_attack(also=[{"entity_type": "src_ip", "entity": "198.51.100.2"}])

    (found,) = scenarios([attack, an_attack()], [a_detection_at(10, 11, entity="198.51.100.2")])

    assert (found.planted, found.found) == (2, 1)
