"""`python -m gold` is `loginlake gold`."""

from gold.cli import app
from lakehouse.entrypoint import run

run(app)
