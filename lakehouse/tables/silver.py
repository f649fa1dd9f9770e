"""The silver layer: one row for every bronze row, with its verdict."""

from __future__ import annotations

from typing import Literal, get_args

from lakehouse.tables.bronze import POSITION
from lakehouse.tables.model import Column, Table

Action = Literal["login", "logout", "lockout", "probe"]
Outcome = Literal["success", "failure"]
FailureReason = Literal[
    "invalid_credentials",
    "unknown_user",
    "account_locked",
    "account_disabled",
    "password_expired",
    "mfa_failed",
    "too_many_attempts",
    "denied_by_policy",
    "other",
]

VERDICTS = ("accepted", "duplicate", "ignored", "broken")
ACTIONS = get_args(Action)
OUTCOMES = get_args(Outcome)
FAILURE_REASONS = get_args(FailureReason)

# The columns that name an event: accepted once, all other copies are duplicates.
IDENTITY = ("event_on", "event_id")
# The position of the accepted copy, on a duplicate; in the order of POSITION.
WINNER = ("winner_topic", "winner_partition", "winner_offset")

EVENTS = Table(
    layer="silver",
    name="events",
    grain="one row per bronze position",
    key=POSITION,
    partition_by=("verdict", "event_on"),
    columns=(
        Column("event_id", "string", "Identity given by the source; null when broken or ignored."),
        Column("event_at", "timestamp", "When it happened, UTC."),
        Column("event_on", "date", "UTC day of event_at; the ingest day if event_at is null."),
        Column(
            "action",
            "string",
            "login (an attempt), logout, lockout or probe (a name was tried without an attempt).",
            values=ACTIONS,
        ),
        Column("outcome", "string", "success or failure for a login, null otherwise.", values=OUTCOMES),
        Column("failure_reason", "string", f"Null, or one of {', '.join(FAILURE_REASONS)}.", values=FAILURE_REASONS),
        Column("times", "long", "How many equal occurrences the record stands for."),
        Column("username", "string", "User name as given; null when there is none."),
        Column("src_ip", "string", "Source address in canonical form, IPv4-mapped IPv6 as IPv4."),
        Column("src_host", "string", "Source, if it is a host name."),
        Column("src_port", "integer", "Source port."),
        Column("app", "string", "What was logged in to; sshd for the format sshd."),
        Column("host", "string", "Machine that wrote the record."),
        Column("auth_method", "string", "How the user authenticated, as the source names it."),
        Column("is_mfa", "boolean", "True if a second factor was used; null if the source does not report it."),
        Column("session_id", "string", "Session that the event belongs to."),
        Column("user_agent", "string", "Client software as it names itself."),
        Column("device_id", "string", "Device as the source names it."),
        Column("country", "string", "Country in which src_ip is registered, ISO 3166-1 alpha-2."),
        Column("is_private", "boolean", "True if src_ip is not a public address; null without src_ip."),
        Column("agent_family", "string", "Family of user_agent, such as Firefox."),
        Column("os_family", "string", "Operating system of user_agent."),
        Column("is_bot", "boolean", "True if user_agent is a known crawler; null without user_agent."),
        Column("extra", "string", "JSON object of the unknown fields; null if there are none."),
        Column("verdict", "string", f"{', '.join(VERDICTS[:-1])} or {VERDICTS[-1]}.", values=VERDICTS),
        Column("reason", "string", "Code of why a row is ignored or broken; null otherwise."),
        Column(
            "detail",
            "string",
            "Why the row is ignored or broken, or why an accepted row has no source; null otherwise.",
        ),
        Column("winner_topic", "string", "Of a duplicate: topic of the accepted copy."),
        Column("winner_partition", "integer", "Of a duplicate: partition of the accepted copy."),
        Column("winner_offset", "long", "Of a duplicate: offset of the accepted copy."),
        Column("format", "string", "Log format that it was decoded as."),
        Column("decoder_version", "integer", "Version of the decoder that decoded it."),
        Column("topic", "string", "Kafka topic."),
        Column("partition", "integer", "Partition of the topic."),
        Column("offset", "long", "Offset in the partition."),
        Column("appended_at", "timestamp", "Kafka timestamp of the record."),
        Column("ingested_at", "timestamp", "When bronze wrote the batch of the record."),
    ),
    shown=("event_at", "username", "src_ip", "outcome", "failure_reason", "app", "reason", "detail", "verdict"),
    properties={
        "delta.enableChangeDataFeed": "true",
        "delta.dataSkippingStatsColumns": "topic,partition,offset,event_id,event_at,ingested_at,src_ip",
    },
)
