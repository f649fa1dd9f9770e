"""Run a program that receives SIGTERM when its parent ends: `die_with_parent.py PARENT PROGRAM ARGUMENTS…` (Linux)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel to send SIGTERM when the parent ends, which survives exec, then become the program."""
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have ended before the call.
    if os.getppid() == int(parent):
        os.execv(command[0], command)  # noqa: S606 (the point is to become it)


if __name__ == "__main__":
    main()
