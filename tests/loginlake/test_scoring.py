"""Detections compared with ground truth: when they match, what is counted, and what is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loginlake.commands.score import print_score
from loginlake.labeled import Labeled
from loginlake.scoring import Score, Tally, score, summary
from producer.ground_truth import PlantedCase, TruthFile
from producer.planted import ExpectedDetection
from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line
from tests.serving.lakes import SmallLake, a_detection, a_login, settings_of

SEVERITIES = {"brute_force_ip": "high", "brute_force_slow": "medium", "new_country": "low"}
ATTACKER, VICTIM = "198.51.100.1", "ada"


def at(hour: float) -> datetime:
    """An hour of the day that the ground truth is about."""
    return datetime(2026, 2, 1, int(hour), int(hour % 1 * 60), tzinfo=UTC)


def an_attack(**changes: Any) -> PlantedCase:
    """An attack from 10:00 to 11:00; `rule`, `entity` and `also` say what it expects."""
    rule, entity = changes.pop("rule", "brute_force_ip"), changes.pop("entity", ATTACKER)
    expected = (ExpectedDetection(rule, "src_ip", entity), *changes.pop("also", ()))
    return PlantedCase(**{
        "kind": "attack", "scenario": "brute_force", "expected": expected, "sources": (entity,), "users": (VICTIM,),
        "apps": ("mail",), "first_at": at(10), "last_at": at(11), "is_complete": True, "event_ids": ("e1", "e2"),
    } | changes)  # fmt: skip


def a_look_alike(**changes: Any) -> PlantedCase:
    """A busy address from 10:00 to 11:00."""
    changes = {"kind": "look_alike", "scenario": "busy_nat", "sources": ("192.0.2.9",), "users": ("bob",)} | changes
    return msgspec.structs.replace(an_attack(), expected=(), **changes)


def a_truth(**changes: Any) -> TruthFile:
    """Ground truth about a day."""
    return TruthFile(**{
        "seed": 1, "start": at(0), "end": datetime(2026, 2, 2, tzinfo=UTC), "format": "login", "users": 500,
        "counts": {}, "attacks": (an_attack(),), "look_alikes": (a_look_alike(),),
    } | changes)  # fmt: skip


def write_truth(path: Path, truth: TruthFile) -> Path:
    """Write a ground truth file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(truth))
    return path


def detected(first_hour: float, last_hour: float, **changes: Any) -> dict[str, Any]:
    """A detection of brute_force_ip about the attacker."""
    times = {"first_at": at(first_hour), "fired_at": at(last_hour), "last_at": at(last_hour)}
    return a_detection("d1", entity=ATTACKER, **times) | changes


def scored(*detections: dict[str, Any], **truth: Any) -> Score:
    return score([a_truth(**truth)], detections, severities=SEVERITIES)


@pytest.mark.parametrize(
    ("detection", "found", "false_alarms"),
    [
        pytest.param(detected(9, 10), 1, 0, id="it ends when the attack begins"),
        pytest.param(detected(11, 12), 1, 0, id="it begins when the attack ends"),
        pytest.param(detected(11.5, 12), 0, 1, id="it begins after the attack"),
        pytest.param(detected(8, 9.5), 0, 1, id="it ends before the attack"),
        pytest.param(detected(10, 11, entity="198.51.100.2"), 0, 1, id="another address"),
        pytest.param(detected(10, 11, entity_type="username", entity=VICTIM), 1, 0, id="a user of the attack"),
        pytest.param(detected(10, 11, entity_type="app", entity="mail"), 1, 0, id="an app of the attack"),
        pytest.param(detected(10, 11, entity_type="username"), 0, 1, id="a user with the name of an address"),
        pytest.param(detected(10, 11, rule="brute_force_slow"), 0, 0, id="another rule, rightly"),
        pytest.param(detected(10, 11, status="retracted"), 0, 0, id="it was retracted"),
    ],
)
def test_a_detection_matches_an_attack_by_entity_and_time(
    detection: dict[str, Any], found: int, false_alarms: int
) -> None:
    total = scored(detection).total

    assert (total.cases, total.found, total.false_alarms) == (1, found, false_alarms)


def test_an_attack_is_a_case_of_every_scored_rule_that_must_find_it_and_found_if_one_does() -> None:
    also = [ExpectedDetection(rule, "src_ip", ATTACKER) for rule in ("brute_force_slow", "brute_force_slow", "no_rule")]
    result = scored(detected(10, 11), attacks=(an_attack(also=also),))

    assert result.total == Tally(cases=2, found=1, alerts=1, false_alarms=0)
    assert len(result.found_attacks) == 1
    assert [(rule, case.scenario) for rule, case in result.misses] == [("brute_force_slow", "brute_force")]


def test_an_entity_that_only_an_expected_detection_names_matches() -> None:
    attack = an_attack(also=[ExpectedDetection("brute_force_slow", "session_id", "s1")])
    result = scored(detected(10, 11, rule="brute_force_slow", entity_type="session_id", entity="s1"), attacks=(attack,))

    assert result.tally("brute_force_slow") == Tally(cases=1, found=1, alerts=1, false_alarms=0)


def test_an_attack_that_the_stream_did_not_finish_is_not_a_case_but_explains_its_detections() -> None:
    result = scored(detected(10, 11), attacks=(an_attack(is_complete=False),))

    assert result.total == Tally(cases=0, found=0, alerts=1, false_alarms=0)
    assert (result.total.recall, result.total.precision) == (None, 1.0)


def test_an_alarm_on_a_look_alike_is_false_and_names_it() -> None:
    result = scored(detected(10, 11), detected(10, 11, entity="192.0.2.9"), detected(1, 2, entity="192.0.2.9"))

    assert result.total.precision == pytest.approx(1 / 3)
    assert [alert.look_alike and alert.look_alike.scenario for alert in result.false_alarms] == [None, "busy_nat"]
    assert [case.scenario for case in result.detected_look_alikes] == ["busy_nat"]


def test_rules_of_low_severity_count_only_as_alerts_per_user_and_day() -> None:
    result = scored(*(detected(1, 2, rule="new_country", entity=f"192.0.2.{last}") for last in range(3)))

    assert result.total == Tally(cases=1, found=0, alerts=0, false_alarms=0)
    assert result.alerts_per_1000_users_and_day(result.tally("new_country")) == 6.0
    assert result.false_alarms == []


def test_only_detections_within_the_time_of_the_ground_truth_are_scored() -> None:
    later = a_truth(start=at(12), end=datetime(2026, 2, 3, tzinfo=UTC), attacks=(), look_alikes=())
    outside = {"first_at": datetime(2026, 2, 4, tzinfo=UTC), "last_at": datetime(2026, 2, 4, tzinfo=UTC)}
    result = score([a_truth(), later], [detected(10, 11), detected(10, 11) | outside], severities=SEVERITIES)

    assert (result.days, result.others) == (2.0, 1)
    assert result.alerts_per_day(result.total) == 0.5


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("true", Tally(cases=1, found=1, alerts=1, false_alarms=0, labeled=1)),
        ("false", Tally(cases=0, found=0, alerts=1, false_alarms=1, labeled=1)),
        ("benign", Tally(cases=0, found=0, alerts=1, false_alarms=1, labeled=1)),
    ],
)
def test_a_label_is_the_truth_where_nothing_was_planted(label: str, expected: Tally) -> None:
    row = detected(10, 11)

    result = score([], [row, detected(1, 2)], severities=SEVERITIES, labels=[Labeled(row, label)])

    assert result.total == expected
    assert (result.days, result.others) == (0.0, 1)


def test_what_was_planted_goes_before_a_label() -> None:
    attack, look_alike = detected(10, 11), detected(10, 11, detection_id="d2", entity="192.0.2.9")
    labels = [Labeled(attack, "false"), Labeled(look_alike, "true")]

    result = score([a_truth()], [attack, look_alike], severities=SEVERITIES, labels=labels)

    assert result.total == Tally(cases=1, found=1, alerts=2, false_alarms=1, labeled=0)


def test_an_attack_that_only_a_label_knows_is_not_a_false_alarm() -> None:
    row = detected(3, 4, entity="192.0.2.77")

    assert score([a_truth()], [row], severities=SEVERITIES).total.false_alarms == 1
    assert score([a_truth()], [row], severities=SEVERITIES, labels=[Labeled(row, "true")]).total.false_alarms == 0


def test_a_label_stays_with_the_detection_of_a_changed_rule() -> None:
    before, after = detected(10, 11), detected(9, 10.5, detection_id="d2")
    labels = [Labeled(before, "true")]

    assert score([], [after], severities=SEVERITIES, labels=labels).total.recall == 1.0
    missed = score([], [before | {"status": "retracted"}], severities=SEVERITIES, labels=labels)
    assert (missed.total.recall, [case.scenario for _, case in missed.misses]) == (0.0, ["labeled true"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake with one detection in its first snapshot, and a false one more in its second."""
    settings = settings_of(tmp_path_factory.mktemp("score"))
    lake = SmallLake(settings)
    true, false = detected(10, 11), detected(10, 11, detection_id="d2", entity="192.0.2.9")
    lake.publish([a_login(0)], [true])
    lake.publish([a_login(1)], [true, false])
    return settings.root


@pytest.fixture(scope="module")
def truth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("truth") / "truth.json"
    missed = an_attack(rule="brute_force_slow", entity="198.51.100.9", scenario="slow_brute_force")
    return write_truth(path, a_truth(attacks=(an_attack(), missed)))


@pytest.fixture
def loginlake(loginlake: Loginlake, root: str) -> Loginlake:
    return loginlake.with_environment(LOGINLAKE_ROOT=root)


def test_the_command_reports_recall_and_precision_as_json(loginlake: Loginlake, truth_file: Path) -> None:
    answer = json.loads(loginlake("score", "--truth", str(truth_file), "--json").stdout)

    assert answer["snapshot"] == 2
    assert (answer["total"]["recall"], answer["total"]["precision"]) == (0.5, 0.5)
    assert (answer["total"]["attacks_found"], answer["total"]["look_alikes_detected"]) == (1, 1)
    rules = {each["rule"]: each for each in answer["rules"]}
    assert (rules["brute_force_ip"]["recall"], rules["brute_force_slow"]["recall"]) == (1.0, 0.0)
    assert [(miss["rule"], miss["sources"]) for miss in answer["misses"]] == [("brute_force_slow", ["198.51.100.9"])]
    assert [(each["detection_id"], each["look_alike"]) for each in answer["false_alarms"]] == [("d2", "busy_nat")]
    assert {each["first_at"][-1] for each in (*answer["misses"], *answer["false_alarms"])} == {"Z"}


def test_the_report_fits_a_terminal_of_80_columns(loginlake: Loginlake, tmp_path: Path) -> None:
    earlier = a_truth(start=at(0), end=at(1), attacks=(), look_alikes=())
    words = ("score", "--truth", str(write_truth(tmp_path / "truth.json", earlier)))
    narrow, piped = loginlake.on_a_terminal(columns=80)(*words).stdout, loginlake(*words).stdout

    assert len(next(line for line in piped.splitlines() if line.startswith("Not scored: 2 detections"))) > 80
    assert max(map(len, narrow.splitlines())) <= 80


def test_the_command_scores_an_earlier_snapshot(loginlake: Loginlake, truth_file: Path) -> None:
    answer = json.loads(loginlake("score", "--truth", str(truth_file), "--snapshot", "1", "--json").stdout)

    assert (answer["snapshot"], answer["total"]["precision"]) == (1, 1.0)


def test_a_folder_is_the_ground_truth_about_the_events_of_the_snapshot(loginlake: Loginlake, tmp_path: Path) -> None:
    first = an_attack(event_ids=("event-0",))
    partial = an_attack(rule="brute_force_slow", entity="192.0.2.8", event_ids=("event-0", "lost"))
    elsewhere = an_attack(rule="brute_force_slow", entity="192.0.2.7", event_ids=("of another lake",))
    second = an_attack(entity="192.0.2.9", event_ids=("event-1",))
    write_truth(tmp_path / "truth-9.json", a_truth(attacks=(first, partial, elsewhere), look_alikes=()))
    write_truth(tmp_path / "truth-10.json", a_truth(attacks=(second,), look_alikes=()))
    write_truth(tmp_path / "truth-11.json", a_truth(attacks=(elsewhere,), look_alikes=()))
    (tmp_path / "truth-12.json").touch()  # of a stream that has not ended

    ended = {
        number: loginlake("score", "--truth", str(tmp_path), "--snapshot", number, "--json") for number in ("1", "2")
    }

    totals = {number: json.loads(each.stdout)["total"] for number, each in ended.items()}
    assert {number: (each["cases"], each["found"], each["precision"]) for number, each in totals.items()} == {
        "1": (1, 1, 1.0),
        "2": (2, 2, 1.0),
    }
    assert not any(each.stderr for each in ended.values())


def test_files_beside_the_named_ground_truth_are_mentioned(loginlake: Loginlake, tmp_path: Path) -> None:
    named = [write_truth(tmp_path / f"truth-{seed}.json", a_truth()) for seed in (1, 2)]
    write_truth(tmp_path / "other.json", a_truth())

    ended = loginlake("score", "--truth", str(named[0]))

    assert "Not used: truth-2.json" in ended.stderr
    both = loginlake("score", *(word for path in named for word in ("--truth", str(path))))
    assert "Not used" not in both.stderr


def test_a_folder_without_ground_truth_is_an_error_with_a_hint(loginlake: Loginlake, tmp_path: Path) -> None:
    line = the_only_line(loginlake("score", "--truth", str(tmp_path)), code=2)

    assert "has no file truth-*.json" in line
    assert "the folder that has them" in line


def test_false_alarms_are_in_the_order_in_which_they_fired() -> None:
    hours = (14, 3, 20)
    result = scored(*(detected(hour, hour, detection_id=str(hour), entity="192.0.2.7") for hour in hours))

    assert [alarm.detection["detection_id"] for alarm in result.false_alarms] == ["3", "14", "20"]


def test_the_command_prints_rules_misses_and_false_alarms(loginlake: Loginlake, truth_file: Path) -> None:
    printed = loginlake("score", "--truth", str(truth_file)).stdout

    assert "Snapshot 2: 1 of 2 planted attacks found, 1 of 1 look-alikes detected" in printed
    assert "Recall 0.500 (1 of 2 cases), precision 0.500 (1 of 2 alerts)" in printed
    for line in (r"brute_force_ip .* 1 of 1 ", "slow_brute_force .* 198.51.100.9", "192.0.2.9 .* busy_nat"):
        assert any(all(word in each for word in line.split(" .* ")) for each in printed.splitlines()), line


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "can't be read"), ("{}", "is not a ground truth file"), ("[1", "is not a ground truth file")],
)
def test_a_wrong_ground_truth_file_is_an_error_with_a_hint(
    loginlake: Loginlake, tmp_path: Path, content: str | None, complaint: str
) -> None:
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_text(content)

    ended = loginlake("score", "--truth", str(path))

    line = the_only_line(ended, code=2)
    assert complaint in line
    assert "produce generate --truth" in line


def test_the_command_scores_with_labels_alone(loginlake: Loginlake, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    true, false = detected(10, 11), detected(10, 11, detection_id="d2", entity="192.0.2.9")
    SmallLake(settings).publish([a_login(0)], [true, false, detected(1, 2, detection_id="d3", entity="192.0.2.7")])
    loginlake = loginlake.with_environment(LOGINLAKE_ROOT=settings.root)
    assert "give detections a label" in the_only_line(loginlake("score"), code=2)
    loginlake("label", "d1", "true")
    loginlake("label", "d2", "benign")

    answer = json.loads(loginlake("score", "--json").stdout)

    assert {name: answer["total"][name] for name in ("recall", "precision", "labeled")} == {
        "recall": 1.0,
        "precision": 0.5,
        "labeled": 2,
    }
    assert [(each["detection_id"], each["label"]) for each in answer["false_alarms"]] == [("d2", "benign")]
    assert answer["not_scored"] == 1
    printed = loginlake("score").stdout
    assert "Snapshot 1: 2 detections have a label: 1 true, 0 false, 1 benign\n" in printed
    assert "Recall 1.000 (1 of 1 cases), precision 0.500 (1 of 2 alerts), 2 of them by their label" in printed
    lines = [line.split() for line in printed.splitlines()]
    table = lines.index(["rule", "true", "false", "benign"])
    assert next(line for line in lines[table + 1 :] if "brute_force_ip" in line) == ["brute_force_ip", "1", "0", "1"]
    assert "Not scored: 1 detection, without a label or of unknown rules" in printed
    assert not any(text in printed for text in ("planted attacks found", "0 of 0", "alerts a day", "brute_force_slow"))


def test_without_ground_truth_a_figure_without_a_base_is_left_out() -> None:
    row = detected(10, 11)
    of_low_severity = detected(1, 2, rule="new_country")

    def summarized(labeled: dict[str, Any], label: str) -> str:
        return summary(score([], [labeled], severities=SEVERITIES, labels=[Labeled(labeled, label)]))

    assert summarized(row, "false") == (
        "1 detection has a label: 0 true, 1 false, 0 benign\nPrecision 0.000 (0 of 1 alerts), 1 of them by their label"
    )
    assert summarized(of_low_severity, "benign") == "1 detection has a label: 0 true, 0 false, 1 benign"


@pytest.mark.parametrize(
    ("days", "alerts", "shown"), [(8, 7, "0.88"), (7, 63, "9"), (3, 31, "10"), (3, 370, "123"), (7, 0, "0")]
)
def test_alerts_a_day_have_two_significant_digits(
    capsys: pytest.CaptureFixture[str], days: int, alerts: int, shown: str
) -> None:
    start = at(0) + timedelta(minutes=1)  # so that a day is not a whole number of alerts
    rows = [detected(10, 11, detection_id=f"d{number}") for number in range(alerts)]
    truth = a_truth(start=start, end=at(0) + timedelta(days=days), attacks=(), look_alikes=())

    print_score(score([truth], rows, severities={"brute_force_ip": "high"}), title="Score")

    (line,) = (line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("brute_force_ip"))
    assert line[-1] == shown
