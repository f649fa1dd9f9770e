"""The command `verify`: its options, its table, its JSON and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.loginlake.verify.lakes import HandmadeLake

NO_BROKER = ("--kafka", "127.0.0.1:1")


def test_the_report_lists_every_claim_and_ends_with_ok(loginlake: Loginlake, healthy: Settings) -> None:
    ended = loginlake("verify", "--root", healthy.root, *NO_BROKER)

    lines = ended.stdout.splitlines()
    assert ended.returncode == 0, ended.stderr
    assert lines[-1] == "verify: ok, 1 check skipped"
    row = next(line for line in lines if "silver has every position only once" in line)
    assert row.split()[-3:] == ["39", "0", "ok"]


def test_bronze_rows_that_silver_has_not_read_are_counted_in_a_note(
    loginlake: Loginlake, lake: HandmadeLake, settings: Settings
) -> None:
    (place, offset), *_ = lake.nexts().items()
    new = max(lake.raw, key=lambda row: row["ingested_at"]) | {"partition": place[1], "offset": offset}
    lake.append_raw([new], read={**lake.nexts(), place: offset + 1})

    printed = loginlake("verify", "--root", settings.root, *NO_BROKER).stdout

    note = "note: bronze rows that silver has not read yet, as the next refresh does: 1\n"
    assert note in printed
    assert printed.endswith("verify: ok, 1 check skipped\n")
    assert note not in loginlake("verify", "--root", settings.root, *NO_BROKER, "--snapshot", "3").stdout


def test_strict_exits_with_3_if_a_check_is_skipped(loginlake: Loginlake, healthy: Settings) -> None:
    ended = loginlake("verify", "--root", healthy.root, *NO_BROKER, "--strict")

    assert ended.returncode == 3
    assert ended.stdout.splitlines()[-1] == "verify: failed because of --strict, 1 check skipped"


def test_a_lost_file_is_reported_once_with_the_checks_that_could_not_run(
    loginlake: Loginlake, settings: Settings
) -> None:
    lost = Path(HandmadeLake(settings).table(EVENTS).file_uris()[0])
    lost.unlink()

    ended = loginlake("verify", "--root", settings.root, *NO_BROKER)
    report = json.loads(loginlake("verify", "--root", settings.root, *NO_BROKER, "--json").stdout)

    assert ended.returncode == 3
    lines = ended.stdout.splitlines()
    (cause,) = (number for number, line in enumerate(lines) if lost.name in line)
    assert lines[cause].endswith("is missing")
    assert lines[cause + 1].endswith("or run `loginlake rebuild silver`")
    blocked = [check for check in report["checks"] if check["claim"].startswith("the tables needed to check")]
    assert lines[cause + 2 :] == [
        "silver.events can't be read, see above",
        f"  {len(blocked)} checks could not run because of it",
        f"verify: {len(blocked) + 1} of {len(report['checks'])} checks failed, 1 check skipped",
    ]
    assert all(check["details"] and check["passed"] is False for check in blocked)


@pytest.mark.parametrize(
    ("words", "note"),
    [([], "3 snapshots are retained"), (["--snapshot", "1"], "of the retained snapshots, only snapshot 1 was checked")],
)
def test_what_is_no_fault_is_printed_as_a_note(
    loginlake: Loginlake, healthy: Settings, words: list[str], note: str
) -> None:
    printed = loginlake("verify", "--root", healthy.root, *words, *NO_BROKER).stdout

    assert f"note: {note} (every version that a retained snapshot names exists)" in printed


def test_notes_and_faults_are_broken_between_words_on_a_terminal(loginlake: Loginlake, settings: Settings) -> None:
    HandmadeLake(settings).table(EVENTS).delete("offset BETWEEN 2 AND 3 AND partition = 0")

    verify = ("verify", "--root", settings.root, *NO_BROKER)
    narrow, piped = loginlake.on_a_terminal(columns=80)(*verify).stdout, loginlake(*verify).stdout

    assert "note: " in piped
    assert [line for line in narrow.splitlines() if len(line) > 80 and " " in line.strip()] == []
    assert " ".join(narrow.split("note: ", 1)[1].split()) == " ".join(piped.split("note: ", 1)[1].split())


def test_a_fault_is_printed_with_its_hint_and_exits_with_3(loginlake: Loginlake, settings: Settings) -> None:
    HandmadeLake(settings).table(EVENTS).delete("offset BETWEEN 2 AND 3 AND partition = 0")

    ended = loginlake("verify", "--root", settings.root, *NO_BROKER)
    report = json.loads(loginlake("verify", "--root", settings.root, *NO_BROKER, "--json").stdout)

    claim = "silver has every bronze row up to its last position"
    assert ended.returncode == 3
    assert f"{claim}: logs:0:2-3 missing" in ended.stdout.splitlines()
    assert "  hint: Run `loginlake rebuild silver`" in ended.stdout
    assert "checks failed" in ended.stdout.splitlines()[-1]
    assert not report["ok"]
    (failed,) = [check for check in report["checks"] if check["claim"] == claim]
    assert (failed["passed"], failed["faults"], failed["details"]) == (False, 2, ["logs:0:2-3 missing"])


def test_an_earlier_snapshot(loginlake: Loginlake, healthy: Settings) -> None:
    ended = loginlake("verify", "--root", healthy.root, *NO_BROKER, "--snapshot", "2", "--json")

    report = json.loads(ended.stdout)
    assert report["snapshot"] == 2
    assert report["layers"]["silver"] == 26


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--snapshot", "9"], 1, "There is no snapshot 9. Ask for a snapshot from 1 to 3"),
        (["--accept", "logs:0"], 2, "'logs:0' is not a range of offsets. Write it like logs:0:17-42"),
        (["--ledger", "nowhere.ndjson"], 2, "The ledger nowhere.ndjson can't be read"),
    ],
)
def test_a_wrong_option_is_one_line_with_a_hint(
    loginlake: Loginlake, healthy: Settings, words: list[str], code: int, message: str
) -> None:
    ended = loginlake("verify", "--root", healthy.root, *NO_BROKER, *words)

    assert ended.returncode == code
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_file_that_is_not_a_ledger_is_one_line_with_a_hint(
    loginlake: Loginlake, healthy: Settings, tmp_path: Path
) -> None:
    (tmp_path / "other.txt").write_text("not JSON\n")

    ended = loginlake("verify", "--root", healthy.root, *NO_BROKER, "--ledger", str(tmp_path / "other.txt"))

    assert ended.returncode == 2
    assert "is not a ledger. Name a file written by `produce --ledger`" in ended.stderr


def test_a_ledger_is_compared_with_bronze_without_a_broker(
    loginlake: Loginlake, healthy: Settings, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    entry = {"topic": "logs", "partition": 1, "event_id": None, "key": None}
    ledger.write_text("".join(json.dumps(entry | {"offset": offset}) + "\n" for offset in range(8)))

    ended = loginlake("verify", "--root", healthy.root, *NO_BROKER, "--ledger", str(ledger))

    assert ended.returncode == 3
    assert "logs:1:6-7 acknowledged, but not in bronze" in ended.stdout


def test_without_duckdb_deep_names_the_extra_to_install(loginlake_process: LoginlakeProcess, healthy: Settings) -> None:
    ended = loginlake_process.without("duckdb")("verify", "--root", healthy.root, *NO_BROKER, "--deep")

    assert ended.returncode == 1
    assert ended.stderr == "The package duckdb is not installed. Install it with `pip install 'loginlake[verify]'`\n"


def test_deep_does_not_need_spark(loginlake_process: LoginlakeProcess, healthy: Settings) -> None:
    without_spark = loginlake_process.without("pyspark", "delta", "py4j")

    ended = without_spark("verify", "--root", healthy.root, *NO_BROKER, "--deep")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "files have no .crc file beside them: only their pages were checked" in ended.stdout
