"""Waiting for a condition."""

from __future__ import annotations

from collections.abc import Callable

PAUSE_SECONDS = 0.1


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Call the condition until it returns True, and return True; return False if it does not within some seconds."""
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    retrying = Retrying(
        retry=retry_if_result(lambda is_met: not is_met),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(PAUSE_SECONDS),
        retry_error_callback=lambda _: False,
    )
    return bool(retrying(condition))
