"""List the skipped tests of pytest reports; exit 1 if the reason of one is not allowed."""

import sys
from pathlib import Path
from xml.etree.ElementTree import parse


def main(allowed_reasons: str, *reports: str) -> int:
    """Print one line per skipped test and return the exit code."""
    allowed = set(Path(allowed_reasons).read_text().splitlines())
    skips = [
        (f"{case.get('classname')}::{case.get('name')}", skip.get("message", ""))
        for report in reports
        for case in parse(report).iter("testcase")  # noqa: S314
        for skip in case.iter("skipped")
    ]
    print(f"{len(skips)} tests skipped")  # noqa: T201
    for test, reason in skips:
        print(f"{'allowed' if reason in allowed else 'NOT ALLOWED'}: {test}: {reason}")  # noqa: T201
    return 0 if all(reason in allowed for _, reason in skips) else 1


sys.exit(main(*sys.argv[1:]))
