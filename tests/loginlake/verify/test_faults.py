"""Each fault that is put into a lake is found, located and reported with a hint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.errors import TableMissing
from lakehouse.settings import Settings
from lakehouse.tables.silver import EVENTS
from loginlake.verify import Report, VerifyOptions, verify
from loginlake.verify.broker import RECORDS_CLAIM, TOPIC_CLAIM
from loginlake.verify.ledger import ACKNOWLEDGED_CLAIM
from serving.store import Store
from tests.docs.pages import ROOT
from tests.loginlake.verify import test_checksums, test_columns
from tests.loginlake.verify.conftest import Verified
from tests.loginlake.verify.faults import FAULTS, Fault, silver_without, without_earlier_commits
from tests.loginlake.verify.lakes import HandmadeLake, check_of, failed, faults_of
from tests.serving.lakes import retain_from, settings_of

NEED_A_BROKER = {TOPIC_CLAIM, ACKNOWLEDGED_CLAIM}  # test_broker.py
BROKEN_IN_OTHER_TESTS = {
    *NEED_A_BROKER,
    RECORDS_CLAIM,
    test_columns.CLAIM,
    test_checksums.CLAIM,
    "TABLE equals its recomputation from bronze",  # test_recompute.py
}


def test_a_healthy_lake_passes_every_check_and_reports_what_was_skipped(healthy_report: Report) -> None:
    assert faults_of(healthy_report) == []
    assert healthy_report.ok
    assert [check.claim for check in healthy_report.checks if check.passed is None] == [RECORDS_CLAIM]
    assert all(check.checked for check in healthy_report.checks if check.passed)
    assert healthy_report.layers == {"kafka": None, "bronze": 39, "silver": 39}
    assert healthy_report.snapshot == 3


def test_every_claim_is_broken_by_a_fault_and_explained_in_the_docs(healthy_report: Report) -> None:
    claims, broken = ({kind_of(claim) for claim in found} for found in (claims_of(healthy_report), FAULTS))

    assert claims - broken == BROKEN_IN_OTHER_TESTS - NEED_A_BROKER
    explained = (ROOT / "docs" / "verify.md").read_text()
    assert [claim for claim in claims | broken | BROKEN_IN_OTHER_TESTS if claim not in explained] == []


def claims_of(report: Report) -> set[str]:
    return {check.claim for check in report.checks}


def kind_of(claim: str) -> str:
    """Return a claim about one of several tables or a snapshot without its name or number, as docs/verify.md has it."""
    without_number = re.sub(r"snapshot \d+", "snapshot N", claim)
    return re.sub(r"of gold\.\w+", "of TABLE", re.sub(r"^\S+ equals", "TABLE equals", without_number))


@pytest.mark.parametrize(
    ("claim", "inject", "fault"),
    [pytest.param(claim, *injected, id=name) for claim, faults in FAULTS.items() for name, injected in faults.items()],
)
def test_a_fault_is_located_and_has_a_hint(
    lake: HandmadeLake, verified: Verified, claim: str, inject: Fault, fault: str
) -> None:
    inject(lake)

    report = verified()

    assert not report.ok
    assert any(fault in each for each in check_of(report, claim).details), faults_of(report)
    assert all(check.hint for check in failed(report))
    assert all(check.faults >= len(check.details) > 0 for check in failed(report))


def test_a_log_whose_old_commits_a_checkpoint_replaces_is_complete(lake: HandmadeLake, verified: Verified) -> None:
    without_earlier_commits(lake)

    assert faults_of(verified()) == []


def test_a_version_that_a_retained_snapshot_names_must_exist(lake: HandmadeLake, verified: Verified) -> None:
    without_earlier_commits(lake)
    retain_from(lake.settings, 1)

    report = verified()

    assert "gold.ip_activity begins at version 3, but snapshot 1 names 1" in faults_of(report)


def test_only_files_of_retained_snapshots_must_exist(lake: HandmadeLake, verified: Verified) -> None:
    old = sorted(set(DeltaTable(lake.uri(EVENTS), version=2).file_uris()) - set(lake.table(EVENTS).file_uris()))
    Path(old[0].removeprefix("file://")).unlink()

    assert any("is missing" in fault for fault in faults_of(verified()))
    retain_from(lake.settings, 3)
    assert verified().ok


@pytest.mark.parametrize("number", [1, 2])
def test_an_earlier_snapshot_is_verified_at_its_own_versions(healthy: Settings, number: int) -> None:
    report = verify(healthy, Store(healthy), options=VerifyOptions(snapshot=number, is_deep=True))

    assert faults_of(report) == []
    assert report.snapshot == number
    assert report.layers == {"kafka": None, "bronze": 13 * number, "silver": 13 * number}


def test_a_fault_after_a_snapshot_does_not_affect_its_verification(lake: HandmadeLake, verified: Verified) -> None:
    silver_without("partition = 0 AND offset = 17")(lake)

    assert verified(snapshot=3).ok
    assert not verified(snapshot=4).ok


def test_bronze_rows_that_silver_has_not_read_are_counted_but_no_fault(lake: HandmadeLake, verified: Verified) -> None:
    lake.append_records([b"{}", b"{}"], partition=1)

    report = verified()

    assert report.ok
    assert report.unread == {"kafka": 0, "bronze": 2}


def test_a_lake_that_has_only_bronze_passes_and_says_that_no_snapshot_is_published(tmp_path: Path) -> None:
    young = settings_of(tmp_path)
    HandmadeLake(young).append_records([b"{}"], partition=0)

    report = verify(young, Store(young))

    assert report.ok
    assert report.layers == {"kafka": None, "bronze": 1, "silver": 0}
    check = check_of(report, "a snapshot is published")
    assert check.passed is None
    assert "loginlake refresh" in check.hint


def test_a_lake_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    nowhere = settings_of(tmp_path)

    with pytest.raises(TableMissing, match="loginlake bronze"):
        verify(nowhere, Store(nowhere))
