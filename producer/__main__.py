"""`python -m producer` is `loginlake produce`."""

from lakehouse.entrypoint import run
from producer.cli import app

run(app)
