"""`python -m silver` is `loginlake silver`."""

from lakehouse.entrypoint import run
from silver.cli import app

run(app)
