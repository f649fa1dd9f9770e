"""Checks of the servers that the settings name: object store, Spark's master, broker and API."""

from __future__ import annotations

import json
from collections.abc import Collection
from http.client import HTTPConnection, HTTPException

from lakehouse import s3
from lakehouse.addresses import (
    any_server_listens,
    is_listening,
    is_loopback,
    listening_process,
    other_port_hint,
    server_addresses,
)
from lakehouse.cluster import require_master
from lakehouse.errors import BrokerFailed, ClusterFailed, LakehouseError, StoreUnreachable, TopicChanged
from lakehouse.settings import Settings
from loginlake.broker import check_data_unused, other_broker_port
from loginlake.doctor.finding import INSTALL_READERS, Finding, State, failed
from loginlake.preflight import check_topic_of_lake

ANSWER_SECONDS = 2.0


def check_store(settings: Settings) -> list[Finding]:
    """Check that the store of a lake on S3 answers and lets us list it; it may have no lake yet."""
    if not settings.is_on_s3:
        return []
    where = s3.endpoint() or "Amazon S3"
    try:
        s3.names_below(settings)
    except StoreUnreachable as error:
        return [failed("s3", error)]
    except ModuleNotFoundError:
        return [Finding("s3", State.WARN, "not checked: pyarrow is not installed", INSTALL_READERS)]
    return [Finding("s3", State.OK, f"{where} answers")]


def check_cluster(settings: Settings) -> list[Finding]:
    """Check that the master of a standalone cluster listens."""
    if not settings.is_on_cluster:
        return []
    try:
        require_master(settings)
    except ClusterFailed as error:
        return [failed("cluster", error)]
    return [Finding("cluster", State.OK, f"jobs run on {settings.spark_master}")]


def check_kafka(settings: Settings) -> list[Finding]:
    """Check the broker and its topic; if no broker answers, check whether the embedded one could listen."""
    try:
        topics = _topics(settings)
    except BrokerFailed as error:
        return [failed("kafka", error)]
    except ModuleNotFoundError:
        hint = "To check the broker: `pip install 'loginlake[producer]'`"
        return [Finding("kafka", State.WARN, "not checked: confluent-kafka is not installed", hint)]
    if topics is None:
        return [check_broker_port(settings)]
    return [check_broker(settings), check_topic(settings, topics)]


def check_broker(settings: Settings) -> Finding:
    """Check that the broker is the one of this lake, and whether `demo` and `up` can start beside it."""
    answers = f"a broker answers at {settings.kafka}"
    try:
        check_topic_of_lake(settings)
    except TopicChanged as error:
        return Finding("kafka", State.FAIL, f"not this lake's broker: {error.what}", error.hint)
    except LakehouseError as error:
        return failed("kafka", error)
    except ModuleNotFoundError:
        return Finding("kafka", State.WARN, f"{answers}; its topic was not compared with bronze's", INSTALL_READERS)
    if settings.kafka_is_given or _runs_embedded_broker(settings):
        return Finding("kafka", State.OK, answers)
    what = f"{answers}, where `demo` and `up` start their own ({listening_process(settings.kafka_port)} listens there)"
    hint = f"{other_broker_port(settings)}. To use this broker instead: `--kafka {settings.kafka}`"
    return Finding("kafka", State.WARN, what, hint)


def check_broker_port(settings: Settings) -> Finding:
    """Check the address at which no broker answers: is it free for the embedded broker?"""
    host, port = server_addresses(settings.kafka)[0]
    if not is_loopback(host):
        hint = "Start it, or correct LOGINLAKE_KAFKA"
        return Finding("kafka", State.FAIL, f"no broker answers at {settings.kafka}", hint)
    if is_listening(host, port):
        what = f"{listening_process(port)} listens at {settings.kafka} and does not answer as a broker"
        return Finding("kafka", State.FAIL, what, other_broker_port(settings))
    return Finding("kafka", State.OK, f"{settings.kafka} is free for `loginlake broker`")


def check_topic(settings: Settings, topics: Collection[str]) -> Finding:
    """Check that the broker, and not the sender, sets the time of a record."""
    from lakehouse.kafka import timestamp_type

    if settings.topic not in topics:
        return Finding("topic", State.OK, f"{settings.topic} does not exist yet; the first producer creates it")
    try:
        found = timestamp_type(settings)
    except LakehouseError as error:
        return failed("topic", error)
    if found != "LogAppendTime":
        what = f"records of {settings.topic} have the time of their sender ({found}), which may be wrong"
        return Finding("topic", State.WARN, what, "Set message.timestamp.type=LogAppendTime on the topic")
    return Finding("topic", State.OK, f"the broker sets the time of records of {settings.topic}")


def check_api(settings: Settings) -> Finding:
    """Check that the API's port is free, or that the API of this lake answers there."""
    address = f"{settings.host}:{settings.port}"
    if not is_listening(settings.host, settings.port):
        return Finding("api", State.OK, f"{address} is free")
    served = _served_root(settings)
    if served is None:
        what = f"{address} is taken: {listening_process(settings.port)} listens there"
    elif served == settings.full_root:
        return Finding("api", State.OK, f"the API of this lake answers at {address}")
    else:
        what = f"the API of another lake answers at {address}: it serves {served}, not {settings.full_root}"
    return Finding("api", State.FAIL, what, other_port_hint("port", 8080))


def _topics(settings: Settings) -> Collection[str] | None:
    """Return the broker's topics, or None if no broker answers within a few seconds."""
    from confluent_kafka import KafkaException

    from lakehouse.kafka import admin_client

    if not any_server_listens(settings.kafka):
        return None
    try:
        return set(admin_client(settings).list_topics(timeout=ANSWER_SECONDS).topics)
    except KafkaException:
        return None


def _runs_embedded_broker(settings: Settings) -> bool:
    """Return True if a broker uses the data in STATE."""
    try:
        check_data_unused(settings)
    except BrokerFailed:
        return True
    return False


def _served_root(settings: Settings) -> str | None:
    """Return the root of the lake whose API answers, or None if no API of ours answers."""
    connection = HTTPConnection(settings.host, settings.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/livez")
        answer = json.load(connection.getresponse())
    except (HTTPException, OSError, ValueError):
        return None
    finally:
        connection.close()
    is_ours = isinstance(answer, dict) and answer.get("status") == "alive"
    return answer.get("root") if is_ours else None
