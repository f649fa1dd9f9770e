"""Results: faults are counted, the first ones are listed, and unreadable files fail the claim."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakehouse.errors import LakeUnreadable
from loginlake.verify.report import MAX_DETAILS, Check, Report, catch_unreadable, check, restore_hint, skipped


def a_report(*checks: Check) -> Report:
    return Report(snapshot=None, checks=list(checks), layers={}, verdicts={}, unread={})


def test_a_claim_without_faults_passes_and_has_no_hint() -> None:
    passed = check("rows are unique", [], checked=3, hint="Rebuild")

    assert passed == Check("rows are unique", passed=True, checked=3)


def test_all_faults_are_counted_and_the_first_are_listed() -> None:
    failed = check("rows are unique", (f"row {n}" for n in range(MAX_DETAILS + 5)), checked=9_999, hint="Rebuild")

    assert failed.passed is False
    assert failed.faults == MAX_DETAILS + 5
    assert failed.details == [f"row {n}" for n in range(MAX_DETAILS)]
    assert failed.hint == "Rebuild"


def test_a_skipped_check_does_not_fail_the_report() -> None:
    passed, failed = check("a", [], checked=1, hint=""), check("b", ["row 1"], checked=1, hint="")

    assert a_report(passed, skipped("c", "no broker")).ok
    assert a_report(passed, skipped("c", "no broker")).summary == "verify: ok, 1 check skipped"
    assert a_report(passed, skipped("c", "no broker")).strict_summary == (
        "verify: failed because of --strict, 1 check skipped"
    )
    assert a_report(passed).strict_summary == "verify: ok"
    assert a_report(failed, skipped("c", "")).strict_summary == "verify: 1 of 2 checks failed, 1 check skipped"
    assert not a_report(passed, failed).ok
    assert a_report(failed).to_dict()["ok"] is False


def test_a_damaged_file_fails_the_claim_and_keeps_the_checks_before_it() -> None:
    def checks() -> Iterator[Check]:
        yield check("first", [], checked=1, hint="")
        raise LakeUnreadable("silver.events can't be read", hint="", table="silver.events") from OSError("disk\nerror")

    first, failed = catch_unreadable("silver can be checked", checks)

    assert first.passed
    assert failed.claim == "silver can be checked"
    assert failed.details == ["silver.events can't be read: disk"]
    assert failed.hint == "Restore its files from a copy of the lake, or run `loginlake rebuild silver`"


@pytest.mark.parametrize(
    ("tables", "hint"),
    [
        (["gold.detections"], "or run `loginlake rebuild gold`"),
        (["gold.detections", "silver.events"], "or run `loginlake rebuild silver`"),
        (["gold.snapshots", "bronze.raw_logs"], "Restore these files from a copy of the lake"),
        (["gold.detections", "bronze.raw_logs"], "For gold, `loginlake rebuild gold` is enough"),
    ],
)
def test_the_hint_names_the_rebuild_of_the_damaged_layer(tables: list[str], hint: str) -> None:
    assert restore_hint("these files", tables).endswith(hint)


@pytest.mark.parametrize(
    "message",
    [
        "disk (set POLARS_VERBOSE=1 to see full path)",
        'disk: ParsedLogPath { location: FileMeta { location: Url { scheme: "file" } } } -> ParsedLogPath { }',
    ],
)
def test_the_internals_of_a_library_are_no_part_of_a_fault(message: str) -> None:
    def checks() -> Iterator[Check]:
        raise LakeUnreadable("silver.events can't be read", hint="", table="silver.events") from OSError(message)
        yield

    (failed,) = catch_unreadable("silver can be checked", checks)

    assert failed.details == ["silver.events can't be read: disk"]
