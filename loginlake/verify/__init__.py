"""`loginlake verify`: the law of the lake, checked from the outside, without Spark.

Kafka offsets = bronze positions = silver positions, none missing, none twice; distinct (event day, event id) =
accepted; gold's attempts = the attempts in silver; all of them at what the last snapshot names, or an earlier one.
"""

from __future__ import annotations

from loginlake.verify.lake import VerifyOptions, verify
from loginlake.verify.report import Check, Report
from loginlake.verify.scope import newest_rows

__all__ = ["Check", "Report", "VerifyOptions", "newest_rows", "verify"]
