"""What the producer hands to Kafka."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Headers: TypeAlias = list[tuple[str, bytes]]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record to be.

    Attributes:
        key: Decides the partition; None spreads over all.
        value: The bytes as they are; None is a tombstone.
        headers: `format`, and what a line of that format lacks.
        event_id: Identity of the event, for the ledger; None where it has none.
        at: Instant at which a live stream sends it, milliseconds since 1970; 0 sends it at once.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    event_id: bytes | None = None
    at: int = 0
