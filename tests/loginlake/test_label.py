"""`loginlake label`, and the views that show labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse.tables.gold import LABELS
from tests.loginlake.command_line import Loginlake
from tests.loginlake.test_cli import the_only_line
from tests.serving.lakes import publish_twice, settings_of


@pytest.fixture
def loginlake(loginlake: Loginlake, tmp_path: Path) -> Loginlake:
    """The command line, on a lake with the detection d1."""
    settings = settings_of(tmp_path)
    publish_twice(settings)
    return loginlake.with_environment(LOGINLAKE_ROOT=settings.root)


def read(loginlake: Loginlake, *words: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(loginlake("query", *words, "--json").stdout)
    return rows


def test_a_label_is_shown_with_its_attack_and_lowers_the_risk(loginlake: Loginlake) -> None:
    assert [row["entity"] for row in read(loginlake, "entity_risk")] == ["192.0.2.1"]

    ended = loginlake("label", "d1", "benign", "--note", "penetration test", "--author", "tests")

    assert (ended.returncode, ended.stdout) == (0, "d1 is labeled benign\n")
    (label,) = read(loginlake, "labels")
    assert {name: label[name] for name in ("detection_id", "label", "note", "author")} == {
        "detection_id": "d1",
        "label": "benign",
        "note": "penetration test",
        "author": "tests",
    }
    assert [row["label"] for row in read(loginlake, "attacks")] == ["benign"]
    assert read(loginlake, "entity_risk") == []


def test_a_label_as_json_is_the_row(loginlake: Loginlake) -> None:
    given = json.loads(loginlake("label", "d1", "true", "--json").stdout)

    assert set(given) == set(LABELS.column_names)
    assert [label["labeled_at"] for label in read(loginlake, "labels")] == [given["labeled_at"]]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("d1", "maybe"), 2, "'maybe' is not a label. Use one of true, false, benign"),
        (("d2", "true"), 1, "Snapshot 2 has no detection 'd2'"),
    ],
    ids=["unknown label", "unknown detection"],
)
def test_what_can_not_be_labeled_is_refused(
    loginlake: Loginlake, words: tuple[str, str], code: int, message: str
) -> None:
    ended = loginlake("label", *words)

    assert message in the_only_line(ended, code=code)
    assert read(loginlake, "labels") == []


def test_a_view_has_no_versions(loginlake: Loginlake) -> None:
    ended = loginlake("query", "attacks", "--version", "1")

    assert "attacks is a view and has no versions" in the_only_line(ended, code=2)
