"""The nesting depth of a JSON text, without parsing it.

The limit of the parser is the depth of Python's stack at the time of the call, so that the same text may pass or fail.
A decoder must always return the same row; so a fixed limit is checked before parsing.
"""

from __future__ import annotations

import re

# A string, even if it is not terminated, or a bracket. Possessive, so that every text takes linear time.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def is_nested_deeper(text: bytes, levels: int) -> bool:
    """Return True if the brackets of a JSON text are nested deeper than a number of levels."""
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    depth = 0
    for token in TOKEN.finditer(text):
        bracket = token[0]
        if bracket in (b"[", b"{"):
            depth += 1
            if depth > levels:
                return True
        elif bracket in (b"]", b"}"):
            depth -= 1
    return False
