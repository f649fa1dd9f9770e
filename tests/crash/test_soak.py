"""A short soak: kills at random under load, with everything that a user runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.soak import soak

pytestmark = pytest.mark.slow

# Less than Spark needs to recover, so that it is killed once.
SECONDS = 15.0
# Spark is killed after 3 seconds, then the producer; then, while Spark recovers, the broker.
SEED = 31
# Records a second: the load of `make soak` would only make each refresh longer.
RATE = 50


def test_no_record_is_lost_or_duplicated_by_random_kills_under_load(tmp_path: Path) -> None:
    assert soak(tmp_path, seed=SEED, seconds=SECONDS, rate=RATE)
