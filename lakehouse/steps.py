"""The steps that a job runs now: Spark's pages name them, and a terminal shows them and how long they have taken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Concatenate, NamedTuple, ParamSpec, TextIO, TypeVar, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.spinner import Spinner

    from lakehouse.lake import Lake

P = ParamSpec("P")
Result = TypeVar("Result")

SPARK_DESCRIPTION = "spark.job.description"


class Started(NamedTuple):
    """A step that runs now.

    Attributes:
        name: Its name.
        at: The instant of its start, of the monotonic clock.
        seconds: How long it takes; None if that is not known.
    """

    name: str
    at: float
    seconds: float | None


# The steps of this process; threads run several at the same time.
_started: dict[object, Started] = {}


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
def running(name: str, *, seconds: float | None = None) -> Iterator[Callable[[str], None]]:
    """Show the block as a step of this process, and yield a function that renames it.

    Args:
        name: Its name.
        seconds: How long it takes, if that is known.
    """
    key = object()
    _started[key] = Started(name, monotonic(), seconds)

    def rename(other: str) -> None:
        _started[key] = _started[key]._replace(name=other)

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
    above = above_steps(console)
    # What is printed meanwhile appears above; a pipe on standard output keeps its own.
    with (
        Live(
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=steps_line(title),
        ),
        redirect_stdout(above if sys.stdout.isatty() else sys.stdout),
        redirect_stderr(above),
    ):
        yield


def above_steps(console: Console) -> TextIO:
    """Return a file whose lines a terminal shows above its steps."""
    from rich.file_proxy import FileProxy

    class Above(FileProxy):
        encoding = "utf-8"  # typer takes a file without one for a wrong one, and writes to the terminal itself

    return cast("TextIO", Above(console, console.file))


def steps_text(title: str, *, now: float) -> str:
    """Return the title and the steps that run, each with the seconds since its start."""
    steps = [
        f"{name} ({now - at:.0f}{'' if seconds is None else f' of {seconds:.0f}'} s)"
        for name, at, seconds in tuple(_started.values())
    ]
    return ": ".join(part for part in (title, ", ".join(steps)) if part)


def steps_line(title: str) -> Callable[[], Spinner]:
    """Return a function that returns the line which a terminal shows now."""
    from rich.spinner import Spinner
    from rich.text import Text

    spinner = Spinner("dots")

    def line() -> Spinner:
        spinner.text = Text(steps_text(title, now=monotonic()))
        return spinner

    return line
