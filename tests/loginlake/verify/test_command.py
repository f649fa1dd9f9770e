"""The verb `verify`: its flags, its table, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from tests.loginlake.command_line import Loginlake, LoginlakeProcess
from tests.loginlake.verify.lakes import HandmadeLake

NO_BROKER = ("--kafka", "127.0.0.1:1")


def test_a_table_of_figures_then_ok(loginlake: Loginlake, settings: Settings) -> None:
    ended = loginlake("verify", "--root", settings.root, *NO_BROKER)

    lines = ended.stdout.splitlines()
    assert ended.returncode == 0, ended.stderr
    assert lines[-1] == "verify: ok"
    assert next(line.split() for line in lines if "stands twice in silver" in line)[-3:] == ["39", "0", "ok"]


def test_a_fault_exits_3_with_its_name_and_the_mend(loginlake: Loginlake, settings: Settings) -> None:
    HandmadeLake(settings).table(EVENTS).delete("offset BETWEEN 2 AND 3 AND partition = 0")

    ended = loginlake("verify", "--root", settings.root, *NO_BROKER)
    report = json.loads(loginlake("verify", "--root", settings.root, *NO_BROKER, "--json").stdout)

    assert ended.returncode == 3
    assert "every bronze row that silver has read is in silver: logs:0:2-3 missing" in ended.stdout.splitlines()
    assert "  hint: Run `loginlake rebuild silver`" in ended.stdout
    assert "claims do not hold" in ended.stdout.splitlines()[-1]
    assert not report["ok"]
    assert next(check["faults"] for check in report["checks"] if check["holds"] is False) == 2


def test_an_earlier_snapshot(loginlake: Loginlake, settings: Settings) -> None:
    ended = loginlake("verify", "--root", settings.root, *NO_BROKER, "--snapshot", "2", "--json")

    report = json.loads(ended.stdout)
    assert report["snapshot"] == 2
    assert report["layers"]["silver"] == 26


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--snapshot", "9"], 1, "There is no snapshot 9. Ask for one from 1 to 3"),
        (["--accept", "logs:0"], 2, "names no range of offsets. Write it like logs:0:17-42"),
        (["--ledger", "nowhere.ndjson"], 2, "nowhere.ndjson can't be read"),
    ],
)
def test_what_can_not_be_asked_is_one_line(
    loginlake: Loginlake, settings: Settings, words: list[str], code: int, said: str
) -> None:
    ended = loginlake("verify", "--root", settings.root, *NO_BROKER, *words)

    assert ended.returncode == code
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_without_duckdb_deep_is_one_line_that_names_the_extra(
    loginlake_process: LoginlakeProcess, settings: Settings
) -> None:
    ended = loginlake_process.without("duckdb")("verify", "--root", settings.root, *NO_BROKER, "--deep")

    assert ended.returncode == 1
    assert ended.stderr == "This install has no duckdb. Install it with `pip install 'loginlake[verify]'`\n"


def test_without_a_broker_a_ledger_still_tells(loginlake: Loginlake, settings: Settings, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.ndjson"
    entry = {"topic": "logs", "partition": 1, "event_id": None, "key": None}
    ledger.write_text("".join(json.dumps(entry | {"offset": offset}) + "\n" for offset in range(8)))

    ended = loginlake("verify", "--root", settings.root, *NO_BROKER, "--ledger", str(ledger))

    assert ended.returncode == 3
    assert "logs:1:6-7 acknowledged, not in bronze" in ended.stdout


def test_deep_without_spark(loginlake_process: LoginlakeProcess, settings: Settings) -> None:
    ended = loginlake_process.without("pyspark", "delta", "py4j")(
        "verify", "--root", settings.root, *NO_BROKER, "--deep"
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "files have no .crc beside them: only their pages were checked" in ended.stdout
