"""The one thing that must be on the machine: Java 17 or 21."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from lakehouse.errors import JavaMissing

SUPPORTED = (17, 21)
HINT = "Install Java 17 or 21 (such as Debian's openjdk-17-jre-headless) or point JAVA_HOME at it"


def java_path() -> Path:
    """The `java` of JAVA_HOME, else of PATH, checked to be of a version that Spark and Kafka run on.

    Raises:
        JavaMissing: There is none, or its version is another.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None or not Path(found).exists():
        raise JavaMissing("There is no Java" + (f" in JAVA_HOME={home}" if home else ""), hint=HINT)
    version = java_version(Path(found))
    if version not in SUPPORTED:
        raise JavaMissing(f"The Java at {found} is version {version}", hint=HINT, version=version)
    return Path(found)


def java_version(java: Path) -> int:
    """The major version that a `java` reports, 0 where it reports none."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)(?:\.(\d+))?', answer.stderr)
    if version is None:
        return 0
    major = int(version[1])
    return int(version[2] or 0) if major == 1 else major
