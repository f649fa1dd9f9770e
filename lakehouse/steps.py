"""The steps that a job runs now: Spark's pages name them, and a terminal shows them and how long they have taken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.spinner import Spinner

    from lakehouse.lake import Lake

P = ParamSpec("P")
Result = TypeVar("Result")

SPARK_DESCRIPTION = "spark.job.description"

# The steps of this process, each with the instant of its start; threads run several at the same time.
_started: dict[object, tuple[str, float]] = {}


def step(name: str) -> Callable[[Callable[Concatenate[Lake, P], Result]], Callable[Concatenate[Lake, P], Result]]:
    """Make a function of a lake a step of that name; Spark's pages describe its Spark jobs by it."""

    def named(work: Callable[Concatenate[Lake, P], Result]) -> Callable[Concatenate[Lake, P], Result]:
        @wraps(work)
        def run(lake: Lake, /, *args: P.args, **kwargs: P.kwargs) -> Result:
            context = lake.spark.sparkContext
            outer = context.getLocalProperty(SPARK_DESCRIPTION)
            context.setLocalProperty(SPARK_DESCRIPTION, name)
            try:
                with running(name):
                    return work(lake, *args, **kwargs)
            finally:
                context.setLocalProperty(SPARK_DESCRIPTION, outer)  # type: ignore[arg-type] # None removes it

        return run

    return named


@contextmanager
def running(name: str) -> Iterator[Callable[[str], None]]:
    """Let the block be a step of this process, and yield a function that gives it another name."""
    key, started = object(), monotonic()

    def rename(other: str) -> None:
        _started[key] = (other, started)

    rename(name)
    try:
        yield rename
    finally:
        del _started[key]


@contextmanager
def shown_steps(console: Console | None = None, *, title: str = "") -> Iterator[None]:
    """Show the steps on a terminal while the block runs; elsewhere, show nothing.

    Args:
        console: Where they are shown; by default standard error.
        title: Shown before them.
    """
    from rich.console import Console
    from rich.live import Live

    console = console or Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield
        return
    # What is printed meanwhile appears above; a pipe on standard output keeps its own.
    with Live(console=console, transient=True, redirect_stdout=sys.stdout.isatty(), get_renderable=_line(title)):
        yield


def steps_text(title: str, *, now: float) -> str:
    """Return the title and the steps that run, each with the seconds since its start."""
    steps = [f"{name} ({now - since:.0f} s)" for name, since in tuple(_started.values())]
    return ": ".join(part for part in (title, ", ".join(steps)) if part)


def _line(title: str) -> Callable[[], Spinner]:
    from rich.spinner import Spinner
    from rich.text import Text

    spinner = Spinner("dots")

    def line() -> Spinner:
        spinner.update(text=Text(steps_text(title, now=monotonic())))
        return spinner

    return line
