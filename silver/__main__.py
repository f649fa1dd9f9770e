"""`python -m silver` is `loginlake silver`."""

from lakehouse.door import run
from silver.cli import app

run(app)
