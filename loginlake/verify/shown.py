"""How far a verification is: a bar on a terminal, a line now and then elsewhere; on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loginlake.verify.lake import Progress

LINE_SECONDS = 5.0


@contextmanager
def shown() -> Iterator[Progress]:
    """What to tell the step that is done, how far it is, and how much there is; short work says nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _lines(console.print)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Verifying", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)


def _lines(say: Callable[[str], None]) -> Progress:
    due = monotonic() + LINE_SECONDS

    def tell(what: str, done: int, total: int) -> None:  # noqa: PLR0917 (as `Progress` is called)
        nonlocal due
        if monotonic() >= due:
            say(f"{what}: {done:,} of {total:,}" if total else what)
            due = monotonic() + LINE_SECONDS

    return tell
