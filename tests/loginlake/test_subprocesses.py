"""Child processes: they end when this process ends, in whatever way it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.errors import ProcessFailed
from loginlake import die_with_parent
from loginlake.subprocesses import child, run_child
from tests.waiting import wait_until

# Prints which signal ends it.
CHILD = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("terminated", flush=True), sys.exit(0)))
print("running", flush=True)
signal.pause()
"""
PARENT = """
import signal, sys
from pathlib import Path
from loginlake.subprocesses import child

with child([sys.executable, "-c", {child!r}], output=Path({output!r})) as process:
    print(process.pid, flush=True)
    signal.pause()
"""


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_a_child_gets_sigterm_at_the_end_of_the_block(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with child([sys.executable, "-c", CHILD], output=output) as process:
        wait_until(lambda: output.read_text() == "running\n")

    assert process.returncode == 0
    assert output.read_text() == "running\nterminated\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a process whose parent has ended")
def test_a_child_gets_sigterm_when_its_parent_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "output"
    script = PARENT.format(child=CHILD, output=str(output))
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    with parent:
        pid = int(parent.stdout.readline())
        wait_until(lambda: output.read_text() == "running\n")
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not lives(pid))

    assert output.read_text() == "running\nterminated\n"


def test_the_error_of_a_failed_child_names_its_arguments_and_its_log(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with pytest.raises(ProcessFailed, match=r"`-c 1/0` ended with exit code 1. Read the reason in .*output"):
        run_child([sys.executable, "-c", "1/0"], output=output)

    assert "ZeroDivisionError" in output.read_text()


def test_a_child_does_not_start_after_its_parent_has_ended(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    subprocess.run(
        [sys.executable, str(die_with_parent.__file__), str(gone.pid), "/usr/bin/touch", str(mark)], check=True
    )

    assert not mark.exists()


def test_the_standard_error_of_new_processes_goes_to_a_file_and_that_of_this_one_does_not(tmp_path: Path) -> None:
    program = """
import subprocess, sys
from pathlib import Path
from lakehouse.logs import stderr_to
with stderr_to(Path(sys.argv[1])):
    subprocess.run(["sh", "-c", "echo child >&2"], check=True)
    print("within", file=sys.stderr)
print("after", file=sys.stderr)
subprocess.run(["sh", "-c", "echo later >&2"], check=True)
"""
    log = tmp_path / "log"

    ended = subprocess.run([sys.executable, "-c", program, str(log)], capture_output=True, text=True, check=True)

    assert ended.stderr == "within\nafter\nlater\n"
    assert log.read_text() == "child\n"
