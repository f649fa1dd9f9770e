"""Find Java 17 or 21, the one prerequisite beside Python."""

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
    """Return the `java` of JAVA_HOME, else of PATH, if Spark and Kafka run on its version.

    Raises:
        JavaMissing: There is none, or its version is not supported.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None or not Path(found).exists():
        raise JavaMissing(f"There is no Java in JAVA_HOME={home}" if home else "Java is not installed", hint=HINT)
    version = java_version(Path(found))
    if version not in SUPPORTED:
        raise JavaMissing(f"The Java at {found} is version {version}", hint=HINT, version=version)
    return Path(found)


def java_version(java: Path) -> int:
    """Return the major version that a `java` reports; 0 if it reports none."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)(?:\.(\d+))?', answer.stderr)
    if version is None:
        return 0
    major = int(version[1])
    return int(version[2] or 0) if major == 1 else major
