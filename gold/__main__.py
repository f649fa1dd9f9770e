"""`python -m gold` is `loginlake gold`."""

from gold.cli import app
from lakehouse.door import run

run(app)
