"""Kafka positions as the lake keeps them: the next offset to read, per topic and partition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

import msgspec

Partition: TypeAlias = tuple[str, int]
Offsets: TypeAlias = Mapping[Partition, int]
NestedOffsets: TypeAlias = dict[str, dict[int, int]]

NESTED = msgspec.json.Decoder(NestedOffsets)


def offsets_to_json(offsets: Offsets) -> str:
    """`{"logs": {"0": 12}}`, the form Spark's Kafka source takes, with sorted keys."""
    return json.dumps(nested_offsets(offsets), sort_keys=True, separators=(",", ":"))


def nested_offsets(offsets: Offsets) -> dict[str, dict[str, int]]:
    """Topic to partition to next offset, as JSON answers show it."""
    by_topic: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        by_topic.setdefault(topic, {})[str(partition)] = offset
    return by_topic


def offsets_from_json(text: str) -> dict[Partition, int]:
    """The offsets that `offsets_to_json` wrote.

    Raises:
        msgspec.DecodeError: It did not write this.
    """
    return flat_offsets(NESTED.decode(text))


def flat_offsets(nested: NestedOffsets) -> dict[Partition, int]:
    """The offsets of what `nested_offsets` gave, as it is read back from JSON."""
    return {
        (topic, partition): offset for topic, partitions in nested.items() for partition, offset in partitions.items()
    }


def furthest(first: Offsets, second: Offsets) -> dict[Partition, int]:
    """Per partition the larger of the two next offsets."""
    return {at: max(first.get(at, 0), second.get(at, 0)) for at in {*first, *second}}
