"""Progress of long work on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeAlias

LINE_SECONDS = 5.0


# Called with the step, the units done and their total; the total is None or 0 if it is unknown.
Progress: TypeAlias = Callable[[str, int, int | None], None]


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a callback that shows progress; work shorter than a few seconds prints no line."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield progress_lines(console.print, clock=monotonic)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(step: str, done: int, total: int | None) -> None:  # noqa: PLR0917 (as `Progress` is called)
            bar.update(task, description=step, completed=done, total=total or None)

        yield show


def progress_lines(print_line: Callable[[str], object], *, clock: Callable[[], float]) -> Progress:
    """Return a callback that prints a line if the last one is at least LINE_SECONDS old."""
    due = clock() + LINE_SECONDS

    def show(step: str, done: int, total: int | None) -> None:  # noqa: PLR0917 (as `Progress` is called)
        nonlocal due
        if clock() >= due:
            print_line(f"{step}: {done:,} of {total:,}" if total else f"{step}: {done:,}" if done else step)
            due = clock() + LINE_SECONDS

    return show
