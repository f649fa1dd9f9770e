"""The command `loginlake` for tests: in this process, or as a process of its own."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import structlog

from loginlake import cli

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A process in which some modules can't be imported, as if their packages were not installed.
PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from loginlake.cli import main
main()
"""


def clean_environment(**values: str) -> dict[str, str]:
    """Return this machine's environment without its LOGINLAKE_ variables, and with these values."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LOGINLAKE_")} | values


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and its output."""

    returncode: int
    stdout_bytes: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.stdout_bytes.decode()


class Terminal(io.TextIOWrapper):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Loginlake:
    """Run `loginlake` in this process, in a folder of its own and without this machine's settings.

    Commands that need Spark run only in the session given here: their own session would be the one that tests share,
    and they would stop it.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    session: SparkSession | None = None
    output: type[io.TextIOWrapper] = io.TextIOWrapper

    def __call__(self, *words: str) -> Ended:
        """Run the command to its end."""
        output = self.output(io.BytesIO(), write_through=True)
        errors = io.TextIOWrapper(io.BytesIO(), errors="backslashreplace", write_through=True)
        with _isolated(self.folder, clean_environment(**self.environment)), ExitStack() as patches:
            patches.enter_context(patch.object(sys, "argv", ["loginlake", *words]))
            patches.enter_context(redirect_stdout(output))
            patches.enter_context(redirect_stderr(errors))
            if self.session is not None:
                patches.enter_context(patch("lakehouse.job.running_spark", self._running_spark))
            code = _exit_code()
        return Ended(code, output.buffer.getvalue(), errors.buffer.getvalue().decode())

    def with_path(self, folder: Path) -> Loginlake:
        """Return the same command, for which this folder is all of PATH."""
        return replace(self, environment={**self.environment, "PATH": str(folder), "JAVA_HOME": ""})

    def with_environment(self, **values: str) -> Loginlake:
        """Return the same command with these environment variables."""
        return replace(self, environment={**self.environment, **values})

    def on_a_terminal(self, *, columns: int) -> Loginlake:
        """Return the same command, whose standard output is a terminal of this width, without colours."""
        environment = {**self.environment, "COLUMNS": str(columns), "TERM": "dumb", "NO_COLOR": "1"}
        return replace(self, output=Terminal, environment=environment)

    def with_session(self, session: SparkSession) -> Loginlake:
        """Return the same command, whose jobs run in this session."""
        return replace(self, session=session)

    @contextmanager
    def _running_spark(self, *_: object, **__: object) -> Iterator[SparkSession]:
        assert self.session is not None
        yield self.session


@dataclass(frozen=True)
class LoginlakeProcess:
    """Run `loginlake` as a process, for what only a process shows: signals, missing modules, start-up."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()

    def __call__(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            [*self._program(), *words],
            cwd=self.folder,
            env=clean_environment(**self.environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str, stdout: int | None = None, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start the command."""
        return subprocess.Popen(
            [*self._program(), *words],
            cwd=self.folder,
            env=clean_environment(**self.environment),
            stdout=stdout,
            stderr=stderr,
        )

    def in_this_process(self) -> Loginlake:
        """Return the command that runs in this process, in the same folder and environment."""
        return Loginlake(self.folder, self.environment)

    def without(self, *modules: str) -> LoginlakeProcess:
        """Return the same command in an install that lacks these modules."""
        return replace(self, blocked=modules)

    def _program(self) -> list[str]:
        return [sys.executable, "-c", PROGRAM.format(blocked=self.blocked)]


@contextmanager
def _isolated(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Restore after the block what a command changes in its process: environment, signals, logs, exception hook."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    logs, hook = structlog.get_config(), sys.excepthook
    filters = {name: list(logging.getLogger(name).filters) for name in (None, "py4j.clientserver")}
    try:
        with chdir(folder), patch.dict(os.environ, environment, clear=True):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name, before in filters.items():
            logging.getLogger(name).filters[:] = before
        structlog.configure(**logs)
        sys.excepthook = hook


def _exit_code() -> int:
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
