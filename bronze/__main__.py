"""`python -m bronze` is `loginlake bronze`."""

from bronze.cli import app
from lakehouse.entrypoint import run

run(app)
