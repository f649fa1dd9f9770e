"""Run `loginlake produce` as `python -m producer`."""

from lakehouse.entrypoint import run
from producer.cli import app

run(app)
