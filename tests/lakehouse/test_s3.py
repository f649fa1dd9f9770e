"""The AWS_ variables as options of the engines, and their errors as ours."""

from __future__ import annotations

import pytest

from lakehouse.s3 import is_of_store, path_of, polars_options, spark_options, storage_options, unreachable
from lakehouse.settings import Settings

ON_S3 = Settings(root="s3://bucket/some/lake/", _env_file=None)
# As delta-rs, Arrow and Hadoop write them.
UNANSWERED = [
    "Generic S3 error\nError performing GET http://127.0.0.1:1/lake in 301ms - HTTP error\nerror sending request",
    "When listing objects under key 'a': AWS Error NETWORK_CONNECTION during ListObjectsV2 operation: curlCode: 7",
    "getFileStatus on s3://lake/a: SdkClientException: Unable to execute HTTP request: Connect to 127.0.0.1:1 failed",
]
REFUSED = [
    "AWS Error SIGNATURE_DOES_NOT_MATCH during ListObjectsV2 operation",
    "java.nio.file.AccessDeniedException: s3://lake/a: Access Denied (Service: S3, Status Code: 403)",
    "Server returned non-2xx status code\n403 Forbidden\n<Error><Code>InvalidAccessKeyId</Code>",
]

NO_BUCKET = (
    "org.apache.hadoop.fs.s3a.UnknownStoreException: `s3://nowhere/lake/_locks/bronze.json': getFileStatus on "
    "s3://nowhere/lake/_locks/bronze.json: NoSuchBucketException: The specified bucket does not exist"
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.example:9000")
    monkeypatch.setenv("AWS_REGION", "eu-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known-to-all")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "known-to-none")


def test_a_lake_on_a_disk_needs_no_options() -> None:
    settings = Settings(_env_file=None)

    assert (spark_options(settings), storage_options(settings), polars_options(settings.root)) == ({}, None, None)


def test_all_engines_get_the_endpoint_and_the_region_and_no_key() -> None:
    spark, delta = spark_options(ON_S3), storage_options(ON_S3)

    assert spark["spark.hadoop.fs.s3a.endpoint"] == "http://store.example:9000"
    assert spark["spark.hadoop.fs.s3a.endpoint.region"] == "eu-1"
    assert delta is not None
    assert (delta["aws_region"], delta["allow_http"]) == ("eu-1", "true")
    assert "known" not in str(spark | delta)


def test_amazons_own_store_needs_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    assert set(spark_options(ON_S3)) == {"spark.hadoop.fs.s3a.endpoint.region"}
    assert (storage_options(ON_S3) or {})["allow_http"] == "false"


def test_paths_begin_with_the_bucket() -> None:
    assert path_of(ON_S3, "_locks", "bronze.json") == "bucket/some/lake/_locks/bronze.json"


@pytest.mark.parametrize("text", UNANSWERED)
def test_a_store_that_does_not_answer_is_named(text: str) -> None:
    assert is_of_store(text)
    assert unreachable(text).what == "The object store at http://store.example:9000 does not answer"


@pytest.mark.parametrize("text", REFUSED)
def test_a_store_that_refuses_access_is_named(text: str) -> None:
    assert is_of_store(text)
    assert unreachable(text).what.startswith("The object store at http://store.example:9000 refuses access (")


def test_a_damaged_file_is_not_an_error_of_the_store() -> None:
    assert not is_of_store("s3://lake/silver/events/part-0.parquet is not a Parquet file")


def test_a_missing_bucket_is_named() -> None:
    assert is_of_store(NO_BUCKET)
    assert "There is no bucket nowhere at http://store.example:9000. Create it" in str(unreachable(NO_BUCKET))
