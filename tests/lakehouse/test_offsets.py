"""Kafka positions as JSON and merged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.offsets import furthest, nested_offsets, offsets_from_json, offsets_to_json

partitions = st.tuples(st.text(min_size=1, max_size=9), st.integers(0, 2**31 - 1))
offsets = st.dictionaries(partitions, st.integers(0, 2**63 - 1), max_size=9)


def test_offsets_are_written_as_spark_takes_them() -> None:
    written = offsets_to_json({("logs", 1): 5, ("audit", 0): 0, ("logs", 0): 12})

    assert written == '{"audit":{"0":0},"logs":{"0":12,"1":5}}'


def test_offsets_nest_by_topic_and_partition() -> None:
    assert nested_offsets({("logs", 10): 3, ("logs", 2): 4}) == {"logs": {"2": 4, "10": 3}}


@given(offsets)
def test_offsets_are_read_as_they_were_written(written: dict[tuple[str, int], int]) -> None:
    assert offsets_from_json(offsets_to_json(written)) == written


def test_the_furthest_is_the_larger_of_each_partition() -> None:
    first = {("logs", 0): 5, ("logs", 1): 1}
    second = {("logs", 0): 3, ("logs", 1): 2, ("logs", 2): 7}

    assert furthest(first, second) == {("logs", 0): 5, ("logs", 1): 2, ("logs", 2): 7}
    assert furthest({}, {}) == {}
