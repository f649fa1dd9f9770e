"""What `demo` and `up` check before they start, create or send anything; `doctor` reports the same.

All checks together take about a second: they start no Spark and import little.
"""

from __future__ import annotations

from lakehouse import s3
from lakehouse.addresses import any_server_listens, other_port_hint, require_free_port
from lakehouse.errors import BrokerFailed, TopicChanged
from lakehouse.java import java_path
from lakehouse.locks import refuse_second_writer
from lakehouse.logs import log_folder
from lakehouse.settings import Settings
from lakehouse.tables.bronze import RAW_LOGS, TOPIC_ID
from loginlake.broker import check_data_unused, check_port_free


def check_startable(settings: Settings) -> None:
    """Raise if `up` or `demo` can't start on this lake: store, locks, ports, STATE, broker, topic, Java, in this order.

    Raises:
        LakehouseError: The first check that fails.
    """
    if settings.is_on_s3:
        s3.names_below(settings)
    refuse_second_writer(settings, "stack", "bronze", "refresh")
    require_free_port(settings.host, settings.port, what="The API can't listen on", hint=other_port_hint("port", 8080))
    if not settings.kafka_is_given:
        check_port_free(settings)
        check_data_unused(settings)
    log_folder(settings).mkdir(parents=True, exist_ok=True)
    if settings.kafka_is_given:
        check_topic_of_lake(settings)
    java_path()
    from serving.server import require_loopback  # takes a second: it imports the API

    require_loopback(settings)


def check_topic_of_lake(settings: Settings) -> None:
    """Raise if the broker does not answer, or is not the one that bronze was read from.

    Raises:
        TopicChanged: The broker's topic has another id, or the broker lacks the topic.
        BrokerFailed: No broker answers.
    """
    from lakehouse import kafka

    if not any_server_listens(settings.kafka):  # the client would try for ten seconds
        raise BrokerFailed(
            f"No Kafka broker listens at {settings.kafka}",
            hint="Start it, or correct LOGINLAKE_KAFKA; without it, `up` and `demo` start their own broker",
            kafka=settings.kafka,
        )
    recorded = recorded_topic_id(settings)
    if not kafka.has_topic(settings):
        if recorded is not None:
            raise TopicChanged(
                f"The broker at {settings.kafka} has no topic {settings.topic!r}, but bronze was read from that topic",
                hint="Set LOGINLAKE_KAFKA to the broker of this lake, or start a new lake with LOGINLAKE_ROOT",
                recorded=recorded,
            )
        return
    if recorded is not None:
        kafka.require_topic_id(settings, recorded)


def recorded_topic_id(settings: Settings) -> str | None:
    """Return the id of the topic that bronze was read from; None if there is no bronze yet or it can't be opened.

    The jobs report a bronze that can't be opened.
    """
    from deltalake.exceptions import DeltaError

    from serving.delta_tables import open_table

    try:
        bronze = open_table(settings, RAW_LOGS)
    except (DeltaError, OSError):
        return None
    found: str | None = bronze.metadata().configuration.get(f"{TOPIC_ID}{settings.topic}")
    return found
