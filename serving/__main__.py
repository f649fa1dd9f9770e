"""`python -m serving`: the same function as `loginlake serve`."""

from lakehouse.entrypoint import run
from serving.cli import app

run(app)
