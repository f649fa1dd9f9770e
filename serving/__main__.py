"""`python -m serving`: the same function as `loginlake serve`."""

from lakehouse.door import run
from serving.cli import app

run(app)
