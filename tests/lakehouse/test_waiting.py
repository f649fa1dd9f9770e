from __future__ import annotations

from lakehouse.waiting import wait_until


def test_waiting_ends_when_the_condition_is_met() -> None:
    answers = iter([False, True])

    assert wait_until(lambda: next(answers), seconds=60)


def test_waiting_gives_up_after_the_given_time() -> None:
    assert not wait_until(lambda: False, seconds=0.1)
