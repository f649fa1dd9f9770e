"""The statements of `loginlake sql`: typed at a prompt with a history of the lines, or read from standard input."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from lakehouse.entrypoint import print_error, print_text
from lakehouse.errors import LakehouseError

PROMPT = "loginlake> "
CONTINUED_PROMPT = "       ... "
WELCOME = (
    r"End a SELECT with a semicolon. SHOW TABLES lists the tables, DESCRIBE NAME the columns of one, \q or Ctrl-D ends "
    "the prompt."
)
QUIT = (r"\q", "quit", "exit")
HELP = (r"\?", "?", "help")
# They need no semicolon.
ON_ONE_LINE = re.compile(r"show\s+tables|(?:describe|desc)\s+\S+", re.IGNORECASE)
HISTORY = ".loginlake_history"
HISTORY_LINES = 1000


def read_statements(answer: Callable[[str], None], *, lines: Callable[[str], str]) -> None:
    r"""Answer statement after statement until a line `\q` or the end of the input; an error does not end it.

    Args:
        answer: Prints the answer to a statement.
        lines: Returns the next line after printing a prompt; raises EOFError at the end.
    """
    print_text(WELCOME, err=True)
    while True:
        try:
            statement = _next_statement(lines)
        except EOFError:
            typer.echo(err=True)
            return
        except KeyboardInterrupt:  # Ctrl-C gives up the statement that is being typed
            typer.echo(err=True)
            continue
        if statement in QUIT:
            return
        if statement in HELP:
            print_text(WELCOME, err=True)
        elif statement:
            _answer(answer, statement)


def statements_in(text: str) -> Iterator[str]:
    """Yield the statements of a text without their semicolons; the last one needs none."""
    remaining = iter(text.splitlines())

    def next_line(_prompt: str) -> str:
        line = next(remaining, None)
        if line is None:
            raise EOFError
        return line

    with suppress(EOFError):
        while (statement := _next_statement(next_line)) not in QUIT:
            if statement:
                yield statement


@contextmanager
def line_history() -> Iterator[None]:
    """Let `input` edit lines and remember them, in a file of the home folder; without readline, do nothing."""
    try:
        import readline
    except ImportError:
        yield
        return
    file = Path.home() / HISTORY
    with suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(HISTORY_LINES)
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(file)


def _next_statement(lines: Callable[[str], str]) -> str:
    """Return the next statement without its semicolon; the end of the input ends the last one too.

    Raises:
        EOFError: The input has no more statements.
    """
    from serving.statement import ends_statement

    text = ""
    while True:
        try:
            line = lines(CONTINUED_PROMPT if text else PROMPT)
        except EOFError:
            if text.strip():
                return text.strip()
            raise
        word = line.strip().removesuffix(";")
        if word in QUIT or (not text and (word in HELP or ON_ONE_LINE.fullmatch(word))):
            return word
        text = f"{text}\n{line}" if text else line
        if not text.strip() or ends_statement(text):
            return text.strip().removesuffix(";").rstrip()


def _answer(answer: Callable[[str], None], statement: str) -> None:
    try:
        answer(statement)
    except LakehouseError as error:
        print_error(error)
    except KeyboardInterrupt:
        typer.echo("Interrupted", err=True)
