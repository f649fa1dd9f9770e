"""The other tables of gold, and its views: first_seen, detections, labels, restatements and snapshots."""

from __future__ import annotations

from typing import Literal, get_args

from lakehouse.tables.metrics import PAIR_ACTIVITY, STORED_METRICS, USERNAME
from lakehouse.tables.model import Column, Table

LabelValue = Literal["true", "false", "benign"]

LABEL_VALUES: tuple[LabelValue, ...] = get_args(LabelValue)
SEVERITIES = ("low", "medium", "high", "critical")
# The columns of silver.events that a rule can be about.
ENTITY_TYPES = ("src_ip", "username", "session_id", "app")

FIRST_SEEN = Table(
    layer="gold",
    name="first_seen",
    grain="one row per user and value that the user has logged in with: an address, a country, a client or an app",
    key=("username", "kind", "value"),
    partition_by=("first_on",),
    columns=(
        USERNAME,
        Column(
            "kind",
            "string",
            "src_ip, country, agent (the family of the client software) or app.",
            values=("src_ip", "country", "agent", "app"),
        ),
        Column("value", "string", "The address, country, client or app; null is a value of its own."),
        Column("first_at", "timestamp", "Time of the user's first successful login with it."),
        Column("first_on", "date", "UTC day of first_at; the partition."),
    ),
    shown=("first_at", "username", "kind", "value"),
)

# Stored values of detections.status.
CONFIRMED, RETRACTED = "confirmed", "retracted"
# Its values are the names of the rules in `gold.rules`, which the lakehouse does not import.
RULE = Column("rule", "string", "Name of the rule.")
DETECTIONS = Table(
    layer="gold",
    name="detections",
    grain="one row per rule, entity and hour in which the rule first fired",
    key=("detection_id",),
    partition_by=("fired_on",),
    columns=(
        Column("detection_id", "string", "Hash of the rule, the entity and the hour in which the rule first fired."),
        RULE,
        Column("rule_version", "integer", "Version of the rule and its thresholds that found it."),
        Column(
            "entity_type",
            "string",
            f"Column of silver.events that the entity is a value of: {', '.join(ENTITY_TYPES[:-1])} or "
            f"{ENTITY_TYPES[-1]}.",
            values=ENTITY_TYPES,
        ),
        Column("entity", "string", "Who or what the rule fired for, such as an address."),
        Column("fired_at", "timestamp", "Time of the event at which the rule first fired."),
        Column("fired_on", "date", "UTC day of fired_at; the partition."),
        Column("first_at", "timestamp", "Time of the first event of the evidence."),
        Column("last_at", "timestamp", "Time of the last event of the evidence."),
        Column("severity", "string", "low, medium, high or critical.", values=SEVERITIES),
        Column(
            "status",
            "string",
            "confirmed: computed from silver; retracted: after late or changed events the rule no longer finds it.",
            values=(CONFIRMED, RETRACTED),
        ),
        Column("retracted_in", "long", "Snapshot that retracted the detection; null unless it is retracted."),
        Column("measures", "string", "JSON object: what the rule counted in the evidence."),
        Column("evidence", "string", "JSON list of [topic, partition, offset]: the first 100 bronze positions."),
        Column(
            "evidence_users", "string", "JSON list: the first 100 different users of the evidence, in order of time."
        ),
        Column("evidence_ips", "string", "JSON list: the first 100 different source addresses of the evidence."),
        Column("technique", "string", "MITRE ATT&CK technique."),
    ),
    shown=("fired_at", "severity", "rule", "entity", "status"),
)

# `false` and `benign` take a detection out of the risk of its entity.
LABELS = Table(
    layer="gold",
    name="labels",
    grain="one row per label that somebody gave a detection; the last one counts. It is written when it is given, and "
    "read at its newest version, whatever the snapshot",
    key=("detection_id", "labeled_at"),
    partition_by=(),
    columns=(
        Column("detection_id", "string", "The detection; its id stays the same when the version of its rule changes."),
        Column("labeled_at", "timestamp", "When the label was given, UTC."),
        Column(
            "label",
            "string",
            "true: an attack; false: the rule is wrong; benign: it happened, and is harmless.",
            values=LABEL_VALUES,
        ),
        Column("note", "string", "Why, in the author's words."),
        Column("author", "string", "Who gave the label."),
    ),
    shown=("labeled_at", "detection_id", "label", "author", "note"),
)

# Views are computed when they are read, and have no versions of their own.
ATTACKS = Table(
    layer="gold",
    name="attacks",
    grain="one row per confirmed detection: whether its entity logged in during it or within a day after it",
    key=("detection_id",),
    partition_by=("fired_on",),
    columns=(
        *(
            column
            for column in DETECTIONS.columns
            if column.name not in ("status", "retracted_in", "rule_version", "evidence")
        ),
        Column(
            "successes",
            "long",
            "Successful logins from the first event of the evidence to a day after the last: from the address; for a "
            "user, those of the user from the addresses of the evidence; for an app or a session, all from these "
            "addresses.",
        ),
        Column("worked", "boolean", "True if there is such a login."),
        Column("first_success_at", "timestamp", "Time of the first of them."),
        Column("success_users", "string", "JSON list: the first 100 different users who logged in."),
        Column("success_evidence", "string", "JSON list of [topic, partition, offset]: the first 100 of the logins."),
        Column(
            "label",
            "string",
            "The last label of the detection: true, false or benign; null without one.",
            values=LABEL_VALUES,
        ),
    ),
    shown=("fired_at", "severity", "rule", "entity", "worked", "label"),
)
ENTITY_RISK = Table(
    layer="gold",
    name="entity_risk",
    grain="one row per user or source address with a confirmed detection that is not labeled false or benign",
    key=("entity_type", "entity"),
    partition_by=(),
    columns=(
        Column("entity_type", "string", "username or src_ip.", values=("username", "src_ip")),
        Column("entity", "string", "The user or the address."),
        Column("score", "long", "0 to 100: how likely one of the detections matters; see docs/concepts.md."),
        Column("level", "string", "low below 25, medium below 50, high below 75, else critical.", values=SEVERITIES),
        Column("detections", "long", "Detections that the score is made of."),
        Column("open", "long", "Those without a label."),
        Column("last_at", "timestamp", "Time of the last event of their evidence."),
        Column("reasons", "string", "JSON list: the three detections with the largest share, in words."),
    ),
    shown=("entity_type", "entity", "score", "level", "open", "last_at"),
)

SESSIONS = Table(
    layer="gold",
    name="sessions",
    grain="one row per session id of an accepted login or logout",
    key=("session_id",),
    partition_by=("started_on",),
    columns=(
        Column("session_id", "string", "Session id as the source gives it."),
        Column("username", "string", "User of its first event."),
        Column("ips", "long", "Distinct source addresses of its events."),
        Column("started_at", "timestamp", "Time of its first login; null if only its logout is known."),
        Column("started_on", "date", "UTC day of started_at."),
        Column("ended_at", "timestamp", "Time of its last event; null while it is open."),
        Column("duration_seconds", "long", "From started_at to ended_at."),
        Column(
            "state",
            "string",
            "logout: its last event is a logout; timeout: no event for a day; open: neither, at the newest event of "
            "the snapshot.",
            values=("logout", "timeout", "open"),
        ),
    ),
    shown=("session_id", "username", "ips", "started_at", "duration_seconds", "state"),
)

RESTATEMENTS = Table(
    layer="gold",
    name="restatements",
    grain="one row per snapshot, table and key whose published figures of a closed window the snapshot changed",
    key=("snapshot_id", "table_name", "window_at", "key"),
    partition_by=(),
    columns=(
        Column("snapshot_id", "long", "Snapshot that changed the figures; the snapshot before it has the old ones."),
        Column(
            "table_name",
            "string",
            "Full name of the table: the base or a stored metric.",
            values=tuple(table.full_name for table in (PAIR_ACTIVITY, *(metric.table for metric in STORED_METRICS))),
        ),
        Column("key", "string", "JSON object: the key columns of the row, without the window."),
        Column("window_at", "timestamp", "Start of the window; it was closed at the snapshot before."),
        Column("old_values", "string", "JSON object: old values of the changed measures; null if there was no row."),
        Column("new_values", "string", "JSON object: new values of the changed measures; null if the row was removed."),
        Column(
            "cause",
            "string",
            "late: events were added; erased: events were removed; mended: events were decoded differently, or several "
            "of these.",
            values=("late", "erased", "mended"),
        ),
        Column(
            "offsets",
            "string",
            "JSON list of topic:partition:first-last: offsets of the events that were added, changed or removed; after "
            "a rebuild, of the added ones only.",
        ),
    ),
    shown=("snapshot_id", "table_name", "window_at", "key", "cause"),
)

SNAPSHOTS = Table(
    layer="gold",
    name="snapshots",
    grain="one row per published snapshot of all tables",
    key=("id",),
    partition_by=(),
    columns=(
        Column("id", "long", "1, 2, 3 and so on."),
        Column("at", "timestamp", "Instant of publication, UTC; always later than that of the snapshot before."),
        Column("versions", "string", "JSON object: the version of silver.events and of every gold table."),
        Column("offsets", "string", "JSON object: next Kafka offset to read, per topic and partition."),
        Column("last_event_at", "timestamp", "Largest event time in silver at this snapshot."),
        Column("last_append_at", "timestamp", "Largest Kafka append time in silver at this snapshot."),
        Column("enrichment", "string", "JSON object: versions of the enrichment data."),
    ),
    shown=("id", "at", "last_event_at", "last_append_at"),
)
