"""`python -m producer` is `loginlake produce`."""

from lakehouse.door import run
from producer.cli import app

run(app)
