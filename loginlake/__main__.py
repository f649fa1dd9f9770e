"""The script `loginlake` and `python -m loginlake`."""

import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, also while its modules are being imported."""
    signal.signal(signal.SIGINT, lambda _number, _frame: sys.exit(INTERRUPTED))
    from loginlake.cli import main as run

    run()


if __name__ == "__main__":
    main()
