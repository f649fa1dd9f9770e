"""How many records are sent so far: a bar on a terminal, a line now and then elsewhere; on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

LINE_SECONDS = 10.0


@contextmanager
def shown(total: int | None) -> Iterator[Callable[[int], None]]:
    """What to call with the number sent so far; a total that is None is not known."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield every(LINE_SECONDS, say=lambda sent: console.print(_sentence(sent, total)), clock=monotonic)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(TextColumn("sent"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
    task = bar.add_task("sent", total=total)
    with bar:
        yield lambda sent: bar.update(task, completed=sent)


def every(seconds: float, say: Callable[[int], None], *, clock: Callable[[], float]) -> Callable[[int], None]:
    """Says the number it is called with, but only so many seconds after the last time: short work says nothing."""
    due = clock() + seconds

    def tell(sent: int) -> None:
        nonlocal due
        if clock() >= due:
            say(sent)
            due = clock() + seconds

    return tell


def _sentence(sent: int, total: int | None) -> str:
    return f"{sent:,} records sent" if total is None else f"{sent:,} of {total:,} records sent"
