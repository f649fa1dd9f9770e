"""An end that someone outside asks for: a signal, or another thread."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TypeVar

Item = TypeVar("Item")


class _Asked(BaseException):
    """Leaves a wait for the next item; never seen outside this module."""


class Stop:
    """Ends a stream between two items, so that what was taken can still be brought to its place."""

    def __init__(self) -> None:
        self._asked = Event()
        self._is_asked = False
        self._is_waiting = False

    def ask(self) -> None:
        """Ends the stream after the item that is under way."""
        self._is_asked = True
        self._asked.set()

    def wait(self, seconds: float) -> None:
        """Sleeps, but no longer than until the end is asked for."""
        self._asked.wait(seconds)

    def until_asked(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, until the end is asked for; a signal also ends the wait for the next one."""
        try:
            self._is_waiting = not self._is_asked
            for item in items if self._is_waiting else ():
                self._is_waiting = False
                yield item
                self._is_waiting = True
                if self._is_asked:
                    return
        except _Asked:
            return
        finally:
            self._is_waiting = False

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Within the block, SIGINT and SIGTERM ask for the end; only in the main thread."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.ask()
        if self._is_waiting:
            raise _Asked
