"""How deep a JSON text is nested, without parsing it.

The parser's own limit is the depth of Python's stack at that moment, so whether it reads a deep text depends on
who calls; a decoder must not. Hence a limit of our own, checked before.
"""

from __future__ import annotations

import re

# A string, also one that never ends, or a bracket; possessive, so that no text takes more than linear time.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def is_nested_deeper(text: bytes, levels: int) -> bool:
    """True where brackets of a JSON text are nested in more than so many levels."""
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
