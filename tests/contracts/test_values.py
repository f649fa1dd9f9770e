"""Columns of a closed list: the declared values are those that the code writes, and the docs name them."""

from __future__ import annotations

from typing import get_args

import pytest

from gold.restatements import ERASED, LATE, MENDED
from gold.rules import load_rules
from gold.rules.model import Severity
from gold.transforms.first_seen import KINDS
from lakehouse.settings import Settings
from lakehouse.tables import METRICS_BY_NAME, READABLE
from lakehouse.tables.gold import DETECTIONS, ENTITY_RISK, FIRST_SEEN, RESTATEMENTS, SEVERITIES
from lakehouse.tables.model import Column, Table
from serving.parameters import values_of
from serving.views import LEVELS, WEIGHTS
from silver.formats.reasons import Reason

TABLES = (*READABLE.values(), *(metric.table for metric in METRICS_BY_NAME.values()))
CLOSED = {f"{table.name}.{column.name}": column for table in TABLES for column in table.columns if column.values}


def values(table: Table, name: str) -> set[str]:
    (column,) = (column for column in table.columns if column.name == name)
    return set(values_of(column))


def test_the_rules_write_declared_values_only() -> None:
    rules = list(load_rules(Settings(_env_file=None)))

    assert values(DETECTIONS, "rule") == {rule.name for rule in rules}
    assert values(DETECTIONS, "entity_type") >= {rule.entity for rule in rules}
    assert values(DETECTIONS, "severity") == set(get_args(Severity))


def test_risks_first_logins_and_restatements_have_the_declared_values() -> None:
    assert set(WEIGHTS) == set(SEVERITIES)
    assert values(ENTITY_RISK, "level") == {level for _, level in LEVELS}
    assert values(FIRST_SEEN, "kind") == set(KINDS)
    assert values(RESTATEMENTS, "cause") == {LATE, MENDED, ERASED}


def test_reasons_of_decoders_are_not_a_closed_list() -> None:
    assert "events.reason" not in CLOSED
    assert {reason.verdict for reason in Reason} < set(CLOSED["events.verdict"].values)


@pytest.mark.parametrize("column", [each for name, each in CLOSED.items() if name != "restatements.table_name"])
def test_the_meaning_names_every_value(column: Column) -> None:
    assert [value for value in column.values if value not in column.meaning] == []
