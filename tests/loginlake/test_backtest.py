"""A rule with other thresholds, evaluated on the events of a snapshot."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deltalake import DeltaTable

from gold.rules import load_rules
from lakehouse.conf import CLONED
from lakehouse.errors import BadQuery
from lakehouse.settings import Settings
from lakehouse.tables import SNAPSHOT_TABLES
from loginlake.backtest import Pair, changed_rule, pairs
from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line
from tests.loginlake.test_scoring import a_truth, an_attack, detected
from tests.serving.lakes import DAY, SmallLake, a_detection, a_login, settings_of

RULE = load_rules(Settings(_env_file=None)).brute_force_ip
# Both have more failures in a minute than the bucket holds.
SMALL, LARGE = "192.0.2.1", "192.0.2.2"
LAST_DAY = DAY + timedelta(days=5)


def failures(count: int, src_ip: str, *, first_offset: int, day: Any = DAY) -> list[dict[str, Any]]:
    """Failed logins, one each second from noon."""
    return [
        a_login(first_offset + second, src_ip=src_ip, event_at=day + timedelta(hours=12, seconds=second))
        for second in range(count)
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake in which the first snapshot has a small attack, and the second also a large one, five days later."""
    settings = settings_of(tmp_path_factory.mktemp("backtest"))
    lake = SmallLake(settings)
    lake.publish(failures(8, SMALL, first_offset=0), [])
    success = a_login(
        200, src_ip=LARGE, event_at=LAST_DAY + timedelta(hours=12, minutes=1), outcome="success", failure_reason=None
    )
    lake.publish([*failures(30, LARGE, first_offset=100, day=LAST_DAY), success], [])
    return settings.root


@pytest.fixture
def loginlake(loginlake: Loginlake, root: str) -> Loginlake:
    return loginlake.with_environment(LOGINLAKE_ROOT=root)


def backtested(loginlake: Loginlake, *words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(loginlake("backtest", "brute_force_ip", *words, "--json").stdout)
    return answer


def test_detections_are_shown_side_by_side(loginlake: Loginlake) -> None:
    answer = backtested(loginlake, "--set", "capacity=10")

    assert answer["now"]["thresholds"]["capacity"] == 5
    assert answer["then"]["thresholds"]["capacity"] == 10
    assert (answer["now"]["detections"], answer["then"]["detections"]) == (2, 1)
    assert [(row["entity"], row["then"] is None) for row in answer["detections"]] == [(SMALL, True), (LARGE, False)]
    assert {row["now"]["fired_at"][-1] for row in answer["detections"]} == {"Z"}
    assert answer["now"]["recall"] is None


@pytest.mark.parametrize(
    ("words", "entities"),
    [
        (["--snapshot", "1"], [SMALL]),
        (["--from", "2026-03-03"], [LARGE]),
        (["--from", "2026-03-02", "--to", "2026-03-03"], [SMALL]),
    ],
)
def test_a_snapshot_and_a_period_select(loginlake: Loginlake, words: list[str], entities: list[str]) -> None:
    answer = backtested(loginlake, "--set", "severity=low", *words)

    assert [row["entity"] for row in answer["detections"]] == entities


@pytest.mark.parametrize(
    ("words", "now", "then"), [([], (1.0, 1.0), (0.5, 1.0)), (["--from", "2026-03-03"], (1.0, 1.0), (1.0, 1.0))]
)
def test_recall_and_precision_follow_from_ground_truth(
    loginlake: Loginlake, tmp_path: Path, words: list[str], now: tuple[float, float], then: tuple[float, float]
) -> None:
    attacks = [
        an_attack(entity=src_ip, first_at=noon, last_at=noon + timedelta(minutes=1))
        for src_ip, noon in ((SMALL, DAY + timedelta(hours=12)), (LARGE, LAST_DAY + timedelta(hours=12)))
    ]
    truth = tmp_path / "truth.json"
    truth.write_bytes(
        msgspec.json.encode(a_truth(start=DAY, end=DAY + timedelta(days=7), attacks=tuple(attacks), look_alikes=()))
    )

    answer = backtested(loginlake, "--set", "capacity=10", "--truth", str(truth), *words)

    assert (answer["now"]["recall"], answer["now"]["precision"]) == now
    assert (answer["then"]["recall"], answer["then"]["precision"]) == then


@pytest.fixture
def labeled(loginlake: Loginlake, tmp_path: Path) -> Loginlake:
    """The command line on a lake with two detections, of which one is labeled true and one benign."""
    settings = settings_of(tmp_path)
    noon = DAY + timedelta(hours=12)
    times = {"first_at": noon, "fired_at": noon, "last_at": noon + timedelta(minutes=1)}
    published = [a_detection(f"d{number}", entity=entity, **times) for number, entity in enumerate((SMALL, LARGE))]
    rows = [*failures(8, SMALL, first_offset=0), *failures(30, LARGE, first_offset=100)]
    SmallLake(settings).publish(rows, published)
    loginlake = loginlake.with_environment(LOGINLAKE_ROOT=settings.root)
    loginlake("label", "d0", "true")
    loginlake("label", "d1", "benign")
    return loginlake


def test_labels_are_the_truth_without_a_file(labeled: Loginlake) -> None:
    answer = backtested(labeled, "--set", "capacity=10")

    figures = ("recall", "precision", "cases", "labeled")
    assert [answer["now"][name] for name in figures] == [1.0, 0.5, 1, 2]
    assert [answer["then"][name] for name in figures] == [0.0, 0.0, 1, 1]
    assert answer["then"]["labels"] == {"true": 0, "false": 0, "benign": 1}


def test_the_table_counts_labels_if_there_is_no_truth(labeled: Loginlake) -> None:
    lines = [line.split() for line in labeled("backtest", "brute_force_ip", "--set", "capacity=10").stdout.splitlines()]

    assert lines[lines.index(["capacity", "5", "10"]) + 1 :][:6] == [
        ["detections", "2", "1"],
        ["entities", "2", "1"],
        ["labeled", "true", "1", "0"],
        ["labeled", "false", "0", "0"],
        ["labeled", "benign", "1", "1"],
        ["without", "a", "label", "0", "0"],
    ]
    assert not {"cases", "precision", "recall"} & {line[0] for line in lines if line}


def test_nothing_is_written(loginlake: Loginlake, root: str) -> None:
    tables = [DeltaTable(f"{root}/{table.layer}/{table.name}") for table in SNAPSHOT_TABLES]
    before = [table.version() for table in tables]

    backtested(loginlake, "--set", "capacity=10")

    for table in tables:
        table.update_incremental()
    assert [table.version() for table in tables] == before


def test_the_table_has_the_changed_thresholds_and_when_each_detection_fired(loginlake: Loginlake) -> None:
    printed = loginlake("backtest", "brute_force_ip", "--set", "capacity=10", "--set", "signals=40").stdout
    lines = [line.split() for line in printed.splitlines()]

    assert ["capacity", "5", "10"] in lines
    assert ["signals", "20", "40"] in lines
    assert ["detections", "2", "1"] in lines
    assert [SMALL, "2026-03-02", "12:00:05", "-"] in lines
    assert not any("leak_seconds" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["brute_force", "--set", "capacity=1"], "There is no rule 'brute_force'. Did you mean brute_force_ip?"),
        (["brute_force_ip", "--set", "capcity=1"], "has no threshold 'capcity'. Did you mean capacity?"),
        (["brute_force_ip", "--set", "capacity"], "'capacity' is not a change of a threshold. Write --set KEY=VALUE"),
        (["brute_force_ip", "--set", "capacity=0"], "--set: capacity: expected an integer >= 1. docs/rules"),
        (["brute_force_ip", "--set", "capacity=many"], "--set: capacity: expected an integer, got text. docs/rules"),
        (
            ["brute_force_ip", "--set", "severity=hgh"],
            "severity: 'hgh' is not one of low, medium, high, critical",
        ),
        (["brute_force_ip", "--set", "allow=[3]"], "allow: expected text, got an integer"),
        (["brute_force_ip", "--set", "leak_seconds=1e9"], "more than a day"),
    ],
)
def test_a_wrong_rule_or_threshold_is_an_error_with_a_hint(
    loginlake: Loginlake, words: list[str], complaint: str
) -> None:
    ended = loginlake("backtest", *words)

    assert complaint in the_only_line(ended, code=2)


def test_a_change_is_required(loginlake: Loginlake) -> None:
    assert loginlake("backtest", "brute_force_ip").returncode == 2


def test_a_value_is_json_or_text() -> None:
    changed = changed_rule(RULE, ["leak_seconds = 2.5", "severity=low", 'allow=["192.0.2.0/24"]'], folder=CLONED)

    assert changed == msgspec.structs.replace(RULE, leak_seconds=2.5, severity="low", allow=("192.0.2.0/24",))
    with pytest.raises(BadQuery):
        changed_rule(RULE, ["severity=1"], folder=CLONED)


def test_a_rule_that_follows_others_gets_their_hits(loginlake: Loginlake) -> None:
    answer = loginlake("backtest", "success_after_attack_ip", "--set", "window_minutes=60", "--json")

    found = json.loads(answer.stdout)
    assert [row["entity"] for row in found["detections"]] == [LARGE]


def test_addresses_are_a_list(loginlake: Loginlake) -> None:
    answer = loginlake("backtest", "several_countries", "--set", 'proxies=["192.0.2.0/24"]', "--json")

    assert json.loads(answer.stdout)["then"]["thresholds"]["proxies"] == "1 block"


@pytest.mark.parametrize(
    ("rule", "change", "row"),
    [
        ("brute_force_ip", 'allow=["46.4.0.0/16", "192.0.2.7"]', ["allow", "-", "46.4.0.0/16,", "192.0.2.7"]),
        ("brute_force_ip", "leak_seconds=12.5", ["leak_seconds", "10", "12.5"]),
        ("brute_force_ip", "leak_seconds=12", ["leak_seconds", "10", "12"]),
        ("several_countries", 'proxies=["192.0.2.0/24"]', ["proxies", "0", "blocks", "1", "block"]),
        ("listed_ip", 'addresses=["192.0.2.0/24"]', ["addresses", "1", "block", "1", "block"]),
    ],
)
def test_the_table_has_thresholds_as_a_person_writes_them(
    loginlake: Loginlake, conf: Path, rule: str, change: str, row: list[str]
) -> None:
    (conf / "detections.toml").write_text('[listed_ip]\naddresses = ["198.51.100.0/24"]\n')

    ended = loginlake.with_environment(LOGINLAKE_CONF=str(conf))("backtest", rule, "--set", change)

    assert row in [line.split() for line in ended.stdout.splitlines()]


def test_each_detection_has_one_partner_that_overlaps_it() -> None:
    early, late, other = detected(1, 3), detected(4, 6), detected(1, 3, entity="192.0.2.7")
    long = detected(2, 5)

    assert pairs([early, late, other], [long]) == [Pair(other, None), Pair(early, long), Pair(late, None)]
    assert pairs([], [late]) == [Pair(None, late)]
