"""The command `loginlake` as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

BLOCKING = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from loginlake.cli import main
main()
"""


@dataclass(frozen=True)
class Loginlake:
    """Runs `loginlake` in a folder of its own, with none of this machine's settings."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()

    def __call__(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """What the command says, and how it ends."""
        return subprocess.run(
            [*self._program(), *words],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str, stdout: int | None = None, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """The running command."""
        return subprocess.Popen(
            [*self._program(), *words], cwd=self.folder, env=self._environment(), stdout=stdout, stderr=stderr
        )

    def with_path(self, folder: Path) -> Loginlake:
        """The same, where programs are looked for in this folder alone."""
        return replace(self, environment={"PATH": str(folder), "JAVA_HOME": ""})

    def without(self, *modules: str) -> Loginlake:
        """The same in an install that lacks these modules."""
        return replace(self, blocked=modules)

    def _program(self) -> list[str]:
        return [sys.executable, "-c", BLOCKING.format(blocked=self.blocked)]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOGINLAKE_")}
        return kept | self.environment
