"""`python -m bronze` is `loginlake bronze`."""

from bronze.cli import app
from lakehouse.door import run

run(app)
