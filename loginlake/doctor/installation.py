"""Checks of what is installed: Java, Spark's packages and their jars, and the rules in the configuration folder."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import PackageNotFoundError, version

from lakehouse.conf import conf_folder
from lakehouse.errors import JavaMissing, UsageError
from lakehouse.jars import LOCK, sha256_of
from lakehouse.java import java_path, java_version
from lakehouse.settings import Settings
from loginlake.doctor.finding import INSTALL_READERS, INSTALL_SPARK, Finding, State, failed

# Packages whose version must be that of a jar, and a part of the jar's coordinate.
JARS_OF_PACKAGES = {"pyspark": "spark-sql-kafka", "delta-spark": "delta-spark"}


def check_java() -> Finding:
    """Check that Java is installed, in a version that Spark and Kafka support."""
    try:
        java = java_path()
    except JavaMissing as error:
        return failed("java", error)
    return Finding("java", State.OK, f"{java_version(java)} at {java}")


def check_rules(settings: Settings) -> Finding:
    """Check that the thresholds of the detection rules can be read."""
    try:
        from gold.rules import FILE, load_rules
    except ModuleNotFoundError as missing:
        return Finding("rules", State.WARN, f"not checked: {missing.name} is not installed", INSTALL_READERS)
    try:
        rules = load_rules(settings)
    except UsageError as error:
        return failed("rules", error)
    return Finding("rules", State.OK, f"{len(list(rules))} in {conf_folder(settings) / FILE}")


def check_package(settings: Settings, name: str) -> Finding:
    """Check that a package of the Spark extra is installed, in the version of its jar."""
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Finding(name, State.WARN, "not installed", INSTALL_SPARK)
    coordinates = tomllib.loads((conf_folder(settings) / "jars.toml").read_text())["spark"]["coordinates"]
    jar = next(coordinate for coordinate in coordinates if JARS_OF_PACKAGES[name] in coordinate)
    expected = jar.rpartition(":")[2]
    if expected != installed:
        hint = f"Install the version of the jar: `pip install {name}=={expected}`"
        return Finding(name, State.FAIL, f"{installed}, but its jar is {jar}", hint)
    return Finding(name, State.OK, installed)


def check_jars(settings: Settings, group: str) -> Finding:
    """Check that the jars of a group are in the cache and match the lock file."""
    check = f"{group} jars"
    try:
        from jgo.maven import MavenContext
    except ModuleNotFoundError:
        return Finding(check, State.WARN, "not checked: jgo is not installed", INSTALL_SPARK)
    locked: dict[str, str] = json.loads((conf_folder(settings) / LOCK).read_text())[group]
    context = MavenContext()
    absent = sorted(
        coordinate
        for coordinate, sha256 in locked.items()
        if sha256_of(context.create_dependency(coordinate).artifact.cached_path) != sha256
    )
    if absent:
        what = f"{len(absent)} of {len(locked)} are missing or differ from the lock file, such as {absent[0]}"
        return Finding(check, State.WARN, what, "The next start fetches them; `loginlake jars` does it now")
    return Finding(check, State.OK, f"{len(locked)} in the cache match the lock file")
