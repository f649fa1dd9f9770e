"""The demo: a fresh start, the attacks that it reports, and the commands that it suggests."""

from __future__ import annotations

import json
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lakehouse.errors import LockHeld
from lakehouse.locks import lock_path
from lakehouse.logs import log_folder
from lakehouse.settings import Settings
from loginlake.broker import broker_folder
from loginlake.demo import move_aside, unused_seed, verify_and_report
from loginlake.demo_report import (
    WORST_ATTACKS_QUERY,
    Scenario,
    print_first_figures,
    print_next_commands,
    print_report,
    scenarios,
)
from loginlake.scoring import score
from loginlake.terminal import output_console
from loginlake.truths import truth_files, truth_path
from loginlake.verify import Report
from serving.store import Store
from tests.loginlake.command_line import Loginlake
from tests.loginlake.locked_files import locked_by_another_process
from tests.loginlake.test_scoring import a_truth, an_attack, detected, write_truth
from tests.serving.lakes import SmallLake, a_detection, a_login, settings_of


@pytest.fixture(autouse=True)
def _no_broker_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGINLAKE_KAFKA", raising=False)


def a_lake_with_a_broker(folder: Path, **settings: Any) -> Settings:
    """A folder of a lake and one of a broker's data, each with a file."""
    made = Settings(root=str(folder / "lake"), state=folder / "state", _env_file=None, **settings)
    for place in (Path(made.root), broker_folder(made)):
        place.mkdir(parents=True)
        (place / "before").touch()
    return made


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


def test_a_fresh_start_moves_nothing_while_a_job_writes_the_lake(tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path)
    lock = lock_path(settings, "refresh")
    lock.parent.mkdir()

    with locked_by_another_process(lock), pytest.raises(LockHeld, match="lock of refresh"):
        move_aside(settings, Console(quiet=True))
    assert (Path(settings.root) / "before").exists()


def test_a_fresh_start_moves_the_ground_truth_of_the_old_lake_aside(tmp_path: Path) -> None:
    settings = a_lake_with_a_broker(tmp_path)
    truth = truth_path(log_folder(settings), 2)
    truth.parent.mkdir(parents=True)
    truth.write_text("{}")

    move_aside(settings, Console(quiet=True))

    assert truth_files(log_folder(settings)) == []
    assert len(list(truth.parent.glob("truth-2.json.*"))) == 1


def test_a_seed_is_new_to_the_lake_and_to_the_ground_truth(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert unused_seed(settings) == 1
    SmallLake(settings).publish([a_login(0)], [])
    assert unused_seed(settings) == 2
    write_truth(truth_path(log_folder(settings), 12), a_truth())

    assert unused_seed(settings) == 13


def test_a_later_demo_is_scored_with_the_ground_truth_of_all_demos_on_the_lake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path)
    events = [a_login(0, event_id="e1"), a_login(1, event_id="e2"), a_login(2, event_id="e3")]
    earlier = detected(10, 11)
    later = detected(10, 11, detection_id="d2", entity="198.51.100.2")
    SmallLake(settings).publish(events, [earlier, later])
    truths = {
        1: a_truth(),
        2: a_truth(attacks=(an_attack(entity="198.51.100.2", event_ids=("e3",)),), look_alikes=()),
        3: a_truth(attacks=(an_attack(entity="198.51.100.3", event_ids=("of another lake",)),), look_alikes=()),
    }
    for seed, truth in truths.items():
        write_truth(truth_path(log_folder(settings), seed), truth)
    monkeypatch.setattr("loginlake.demo.verify", lambda *_: Report(1, [], {}, {}, {}))

    verify_and_report(settings, output_console())

    printed = capsys.readouterr().out
    assert "Ground truth: 2 files" in printed
    assert "2 of 2 planted attacks found" in printed
    assert "precision 1.000 (2 of 2 alerts)" in printed


def test_the_suggested_query_prints_the_attacks_of_the_report_with_whole_rule_names(
    tmp_path: Path, loginlake: Loginlake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("loginlake.terminal.terminal_width", lambda: 80)
    settings = settings_of(tmp_path)
    rules = {"success_after_attack": "high", "distributed_brute_force_user": "medium", "mfa_fatigue": "critical",
             "success_after_attack_ip": "low", "brute_force_ip": "high"}  # fmt: skip
    SmallLake(settings).publish(
        [a_login(0), a_login(1, outcome="success", failure_reason=None)],
        [
            a_detection(rule, rule=rule, severity=severity, entity=f"2001:db8:1111:2222:3333:4444:5555:{number}")
            for number, (rule, severity) in enumerate(rules.items())
        ],
    )
    report = Report(1, [], {}, {}, {})

    print_report(Store(settings), report=report, truths={}, severities=rules)
    printed = capsys.readouterr().out

    found = [rule for line in printed.splitlines() for rule in rules if f" {rule} " in line]
    assert found == ["mfa_fatigue", "brute_force_ip", "success_after_attack", "distributed_brute_force_user"]
    assert "4 of 4 detections" in printed
    assert max(len(line) for line in printed.splitlines()) <= 80
    suggested = loginlake(*shlex.split(WORST_ATTACKS_QUERY), "--root", settings.root, "--format", "ndjson").stdout
    assert [json.loads(line)["rule"] for line in suggested.splitlines()] == found


def test_the_suggested_commands_name_the_settings_that_differ_from_the_defaults(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "a lake").model_copy(update={"port": 8081, "allow_unauthenticated": True})
    snapshot = SmallLake(settings).publish([a_login(0)], [])
    printed = StringIO()

    print_next_commands(Console(file=printed), settings, snapshot=snapshot, is_live=False)

    commands = [shlex.split(line, comments=True) for line in printed.getvalue().splitlines() if "loginlake" in line]
    assert len(commands) == 6
    for command in commands:
        assert command[command.index("--root") + 1] == settings.root
        is_server = "serve" in command
        assert ("--port" in command) == ("--allow-unauthenticated" in command) == is_server


def test_attacks_are_counted_by_scenario_and_the_one_found_most_often_is_first() -> None:
    missed = [an_attack(scenario="another", entity=f"192.0.2.{last}") for last in range(3)]
    truth = a_truth(attacks=[an_attack(rule="impossible_travel"), *missed, an_attack()])

    result = score([truth], [detected(10, 11)], severities={"brute_force_ip": "high"})

    assert scenarios(result) == [
        Scenario("brute_force", ("brute_force_ip",), planted=1, found=1),
        Scenario("another", ("brute_force_ip",), planted=3, found=0),
    ]


def test_the_report_has_first_figures_and_only_attacks_that_a_rule_looks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("loginlake.terminal.PLAIN_WIDTH", 80)
    settings = settings_of(tmp_path)
    logins = [a_login(0), a_login(1, outcome="success", failure_reason=None)]
    SmallLake(settings).publish(
        logins, [a_detection("d1"), a_detection("d2", rule="several_countries", severity="low")]
    )
    report = Report(1, [], {"Kafka": None, "bronze": 2}, {"accepted": 2, "broken": 0}, {})
    truth = a_truth(attacks=[an_attack(), an_attack(rule="impossible_travel", scenario="impossible_travel")])

    print_first_figures(Store(settings), output_console(), url="http://127.0.0.1:8000")
    print_report(
        Store(settings), report=report, truths={Path("truth-1.json"): truth}, severities={"brute_force_ip": "high"}
    )

    printed = capsys.readouterr().out
    assert "Snapshot 1: 2 logins, 1 of them failed, 1 addresses" in printed
    assert "The API answers now: http://127.0.0.1:8000/docs" in printed
    covered = "Ground truth: 1 file, about events of 2026-02-01 to 2026-02-02; alerts about other events of this time"
    assert covered in " ".join(printed.split())
    assert "0 of 1 planted attacks found" in printed
    assert "1 more planted attacks are of kinds that no rule looks for yet." in printed
    (attack,) = (line.split() for line in printed.splitlines() if line.startswith("03-02 "))
    assert "1 of 1 detections (medium and higher), first those that worked" in printed
    assert attack == ["03-02", "00:05", "high", "brute_force_ip", "192.0.2.1", "yes"]
    # A thread of another test may log meanwhile; such a line begins with the time.
    report_lines = [line for line in printed.splitlines() if not line.startswith("20")]
    unwanted = ("impossible_travel", "several_countries", "silver broken", "Kafka")
    assert not [line for line in report_lines if any(word in line for word in unwanted)]
    assert max(len(line) for line in printed.splitlines()) <= 80
