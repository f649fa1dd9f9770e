"""`loginlake verify`: check from the outside, without Spark, that no record is missing and none is counted twice.

The checks, in order, are the list `CHECKS` in `checks.py`. To add one, write a function in the module of its subject
and add it to a group of that list.
"""

from __future__ import annotations

from loginlake.verify.checks import verify
from loginlake.verify.pinned import VerifyOptions
from loginlake.verify.report import Check, Report

__all__ = ["Check", "Report", "VerifyOptions", "verify"]
