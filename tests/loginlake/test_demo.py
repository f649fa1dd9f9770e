"""What `demo` and `up` look at before they start anything."""

from __future__ import annotations

import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lakehouse.errors import BrokerFailed, PortTaken
from lakehouse.settings import Settings
from loginlake.broker import broker_folder, embedded_broker
from loginlake.demo import demo, move_aside, preflight
from loginlake.demo_report import print_next
from tests.conftest import a_free_port
from tests.serving.lakes import SmallLake, a_login, settings_of


@pytest.fixture(autouse=True)
def _no_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGINLAKE_KAFKA", raising=False)


def a_lake_with_a_broker(folder: Path, **settings: Any) -> Settings:
    """A lake's folder and that of a broker's data, each with a file."""
    made = Settings(root=str(folder / "lake"), state=folder / "state", _env_file=None, **settings)
    for place in (Path(made.root), broker_folder(made)):
        place.mkdir(parents=True)
        (place / "before").touch()
    return made


def test_a_named_broker_that_is_not_there_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, free_port: int, tmp_path: Path
) -> None:
    monkeypatch.setattr("lakehouse.kafka.TIMEOUT", 0.5)
    settings = Settings(kafka="127.0.0.1:1", port=free_port, state=tmp_path / "state", _env_file=None)

    with pytest.raises(BrokerFailed, match="correct LOGINLAKE_KAFKA"):
        preflight(settings)


def test_a_fresh_start_moves_the_lake_and_the_broker_s_data_aside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("loginlake.demo.refuse_taken", lambda _: None)  # our usual port may be taken here
    settings = a_lake_with_a_broker(tmp_path)

    move_aside(settings, Console(quiet=True))

    assert not Path(settings.root).exists()
    assert not broker_folder(settings).exists()
    assert len(list(tmp_path.glob("lake.*/before"))) == len(list(tmp_path.glob("state/broker.*/before"))) == 1


def test_a_fresh_start_leaves_the_data_of_our_broker_where_another_is_named(tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path, kafka="127.0.0.1:9")

    move_aside(settings, Console(quiet=True))

    assert not Path(settings.root).exists()
    assert (broker_folder(settings) / "before").exists()


@pytest.mark.flow
def test_a_fresh_start_moves_nothing_while_a_broker_on_another_port_has_the_data(tmp_path: Path) -> None:
    settings = Settings(root=str(tmp_path / "lake"), state=tmp_path / "state", _env_file=None)
    Path(settings.root).mkdir()

    with (
        embedded_broker(settings.model_copy(update={"kafka": f"127.0.0.1:{a_free_port()}"})),
        pytest.raises(BrokerFailed, match="Another broker has the data"),
    ):
        move_aside(settings, Console(quiet=True))
    assert Path(settings.root).exists()


def test_a_fresh_start_moves_nothing_where_the_api_has_no_port(taken_port: int, tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path, port=taken_port)

    with pytest.raises(PortTaken):
        demo(settings, once=True, fresh=True)
    assert (Path(settings.root) / "before").exists()


def test_what_to_try_next_names_the_places_that_are_not_the_usual_ones(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "a lake").model_copy(update={"port": 8081})
    snapshot = SmallLake(settings).publish([a_login(0)], [])
    said = StringIO()

    print_next(Console(file=said), settings, snapshot=snapshot, is_live=False)

    commands = [shlex.split(line, comments=True) for line in said.getvalue().splitlines() if "loginlake" in line]
    assert len(commands) == 6
    for command in commands:
        assert command[command.index("--root") + 1] == settings.root
        assert "--port" in command
