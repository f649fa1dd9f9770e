"""`python -m loginlake`: the same as the command `loginlake`."""

from loginlake.cli import main

main()
