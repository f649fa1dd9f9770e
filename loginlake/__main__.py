"""`python -m loginlake` is the command `loginlake`."""

from loginlake.cli import main

main()
