"""A short soak: kills at random under load, with everything that a user runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.soak import soak

pytestmark = pytest.mark.slow

SECONDS = 45.0
# Begins with faults that are quick to reach: the API, the offset log; the broker, the producer.
SEED = 10


def test_no_record_is_lost_or_duplicated_by_random_kills_under_load(tmp_path: Path) -> None:
    assert soak(tmp_path, seed=SEED, seconds=SECONDS)
