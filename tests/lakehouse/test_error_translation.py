"""Errors of Spark, Java and the system become one line; errors in our own code stay unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.error_translation import error_from_text, translated_errors
from lakehouse.errors import ClusterFailed, DiskFull, LakehouseError, LakeUnreadable, OutOfMemory, Unwritable

TRACE = """An error occurred while calling o1.save.
: org.apache.spark.SparkException: {first}
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.of(QueryExecutionErrors.scala:843)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: {cause}
\t... 27 more
"""
WRITING = "[TASK_WRITE_FAILED] Task failed while writing rows to file:/lake/silver/events. SQLSTATE: 58030"
READING = (
    "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///lake/silver/events/a.parquet. SQLSTATE"
)
TRANSLATED = [
    (WRITING, "java.io.IOException: No space left on device", DiskFull, "/lake/silver/events"),
    (WRITING, "FileNotFoundException: /lake/x.parquet (Read-only file system)", Unwritable, "/lake/silver/events"),
    (WRITING, "FileNotFoundException: /lake/x.parquet (Permission denied)", Unwritable, "/lake/silver/events"),
    ("[DELTA_CANNOT_CREATE_LOG_PATH] Cannot create file:/lake/b", "Parent is not a folder", Unwritable, "/lake/b"),
    (READING, "java.lang.NullPointerException", LakeUnreadable, "/lake/silver/events/a.parquet"),
    (
        "in s3a://lake/silver/a.parquet",
        "a.parquet is not a Parquet file",
        LakeUnreadable,
        "s3a://lake/silver/a.parquet",
    ),
    ("Job aborted", "java.io.FileNotFoundException: File file:/lake/a b", LakeUnreadable, "/lake/a"),
    ("Job aborted", "java.lang.OutOfMemoryError: Java heap space", OutOfMemory, ""),
    ("Job aborted: Task 0 failed 8 times", "ExecutorLostFailure (executor 3 exited)", ClusterFailed, "executors"),
]


@pytest.mark.parametrize(("first", "cause", "error", "where"), TRANSLATED)
def test_a_java_error_becomes_one_line_that_names_the_place(
    first: str, cause: str, error: type[LakehouseError], where: str
) -> None:
    fault = error_from_text(TRACE.format(first=first, cause=cause))

    assert type(fault) is error
    assert where in fault.what
    assert "\n" not in str(fault)


def test_an_unknown_error_is_not_translated() -> None:
    assert (
        error_from_text(TRACE.format(first="[UNRESOLVED_COLUMN] nope", cause="java.lang.IllegalStateException")) is None
    )


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("")

    with pytest.raises(Unwritable, match=rf"{file}/broker can't be written.*LOGINLAKE_STATE"), translated_errors():
        (file / "broker").mkdir(parents=True)


@pytest.mark.parametrize("error", [ValueError("No space left on device"), FileNotFoundError(2, "No such file", "/a")])
def test_an_error_in_our_code_is_raised_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translated_errors():
        raise error

    assert raised.value is error
