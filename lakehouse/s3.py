"""A lake on S3: the `AWS_…` variables of the environment as options of Spark, delta-rs, polars and Arrow.

All of them take keys from the environment themselves (Spark: that of the driver), so that no key is in an option:
options can be seen in process lists and on Spark's pages.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakehouse.errors import StoreUnreachable

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from lakehouse.settings import Settings

SCHEMES = ("s3://", "s3a://")
ENDPOINT = "AWS_ENDPOINT_URL"
DEFAULT_REGION = "us-east-1"
# A store that does not answer is an error within 30 s, whether it refuses connections or accepts them.
CONNECT_SECONDS = 5
REQUEST_SECONDS = 10
RETRIES = {"max_retries": 2}
# How delta-rs, polars, Arrow and Hadoop report that a store does not answer, and that it refuses access.
UNANSWERED = re.compile(
    r"error sending request|NETWORK_CONNECTION|Unable to execute HTTP request|ApiCallTimeoutException"
)
REFUSED = re.compile(
    r"(?i)access_?denied|invalid_?access_?key_?id|signature_?does_?not_?match|NoAuthWithAWSException|403 Forbidden"
)
NO_BUCKET = re.compile(r"NoSuchBucket|NO_SUCH_BUCKET")
BUCKET = re.compile(r"s3a?://([^/\s'`\"]+)")


def endpoint() -> str:
    """Return the URL of the store; an empty text for Amazon's own."""
    return os.environ.get(ENDPOINT, "")


def region() -> str:
    """Return the region; stores other than Amazon's ignore it."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


def spark_options(settings: Settings) -> dict[str, str]:
    """Return the settings of a Spark session; none if the lake is not on S3.

    Those that do not depend on the environment are in `conf/spark-defaults.conf`.
    """
    if not settings.is_on_s3:
        return {}
    options = {"spark.hadoop.fs.s3a.endpoint.region": region()}
    return options | ({"spark.hadoop.fs.s3a.endpoint": endpoint()} if endpoint() else {})


def storage_options(settings: Settings) -> dict[str, str] | None:
    """Return the options of delta-rs; None if the lake is not on S3.

    polars takes them from a table of delta-rs, but needs the numbers of RETRIES as integers.
    """
    if not settings.is_on_s3:
        return None
    return {
        "aws_region": region(),
        "allow_http": str(endpoint().startswith("http://")).lower(),
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "timeout": f"{2 * REQUEST_SECONDS}s",  # of a whole file
        "retry_timeout": f"{2 * REQUEST_SECONDS}s",
        **{name: str(number) for name, number in RETRIES.items()},
    }


def polars_options(uri: str) -> dict[str, int] | None:
    """Return the options of polars for a table beside those that it takes from delta-rs; None if it is not on S3."""
    return RETRIES if uri.startswith(SCHEMES) else None


def file_system() -> FileSystem:
    """Return the store as a file system of Arrow, whose paths begin with the bucket."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    options: dict[str, Any] = {}
    if endpoint():
        url = urlsplit(endpoint())
        options = {"endpoint_override": url.netloc, "scheme": url.scheme}
    return S3FileSystem(
        region=region(),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=2),
        **options,
    )


def path_of(settings: Settings, *names: str) -> str:
    """Return the path of the lake, or of an object below it, as `file_system` takes it."""
    return "/".join((settings.root.partition("://")[2].strip("/"), *names))


def names_below(settings: Settings) -> list[str]:
    """Return the names of the folders and objects directly below the lake's root.

    Raises:
        StoreUnreachable: The store does not answer or refuses access, or there is no such bucket.
    """
    from pyarrow.fs import FileSelector, FileType

    store, path = file_system(), path_of(settings)
    bucket = path.partition("/")[0]
    try:
        found = store.get_file_info(FileSelector(path, allow_not_found=True))
        is_missing = not found and store.get_file_info(bucket).type == FileType.NotFound
    except OSError as error:
        raise unreachable(str(error)) from error
    if is_missing:
        raise no_bucket(bucket)
    return [info.base_name for info in found]


def is_of_store(text: str) -> bool:
    """Return True if an engine reports that a store does not answer, refuses access or lacks the bucket."""
    return any(pattern.search(text) for pattern in (UNANSWERED, REFUSED, NO_BUCKET))


def no_bucket(name: str) -> StoreUnreachable:
    """Return the error for a bucket that the store does not have."""
    where = endpoint() or "Amazon S3"
    return StoreUnreachable(f"There is no bucket {name} at {where}", hint="Create it, or correct LOGINLAKE_ROOT")


def unreachable(text: str) -> StoreUnreachable:
    """Return the error for a store that does not answer, refuses access or lacks the bucket, by an engine's text."""
    where = endpoint() or "Amazon S3"
    if NO_BUCKET.search(text):
        named = BUCKET.search(text)
        return no_bucket(named[1] if named else "of this name")
    if UNANSWERED.search(text):
        return StoreUnreachable(
            f"The object store at {where} does not answer", hint=f"Start it, or correct {ENDPOINT}", where=where
        )
    refusal = REFUSED.search(text)
    return StoreUnreachable(
        f"The object store at {where} refuses access ({refusal[0] if refusal else text.splitlines()[0]})",
        hint="Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the permissions of their owner",
        where=where,
    )
