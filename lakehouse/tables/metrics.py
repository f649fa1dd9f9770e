"""The base, and the metrics that are computed from it."""

from __future__ import annotations

from datetime import timedelta

from lakehouse.tables.model import WINDOW_AT, WINDOW_ON, Column, Metric, Table
from lakehouse.tables.silver import FAILURE_REASONS

USERNAME = Column("username", "string", "User name as the source gives it; null is a key of its own.")
SRC_IP = Column("src_ip", "string", "Source address in canonical form; null is a key of its own.")
APP = Column("app", "string", "Application that the user logged in to; null is a key of its own.")
ATTEMPTS = Column("attempts", "long", "Login attempts: the sum of `times` over accepted logins.")
SUCCESSES = Column("successes", "long", "Attempts that succeeded.")
FAILURES = Column("failures", "long", "Attempts that failed.")
FAILURE_RATE = Column("failure_rate", "double", "failures / attempts; null without attempts.")
COUNTRY = Column("country", "string", "Country in which src_ip is registered, ISO 3166-1 alpha-2.")
IS_PRIVATE = Column("is_private", "boolean", "True where src_ip is not a public address.")
PROBES = Column("probes", "long", "User names that were tried without a login attempt.")
LOCKOUTS = Column("lockouts", "long", "Lockouts reported by the source.")
FIRST_AT = Column("first_at", "timestamp", "First attempt, probe or lockout of the window.")
LAST_AT = Column("last_at", "timestamp", "Last attempt, probe or lockout of the window.")
LAST_SUCCESS_AT = Column("last_success_at", "timestamp", "Last successful attempt of the window.")
LAST_FAILURE_AT = Column("last_failure_at", "timestamp", "Last failed attempt of the window.")
USERS = Column("users", "long", "Distinct users with an attempt.")
IPS = Column("ips", "long", "Distinct source addresses with an attempt.")
APPS = Column("apps", "long", "Distinct apps with an attempt.")

PAIR_ACTIVITY = Table(
    layer="gold",
    name="pair_activity_hourly",
    grain="one row per app, username, src_ip and hour with an attempt, probe or lockout: the base of every metric",
    key=("app", "username", "src_ip", "window_at"),
    partition_by=("window_on",),
    columns=(
        WINDOW_AT,
        WINDOW_ON,
        APP,
        USERNAME,
        SRC_IP,
        ATTEMPTS,
        SUCCESSES,
        FAILURES,
        *(Column(f"failures_{reason}", "long", f"Failures with the reason {reason}.") for reason in FAILURE_REASONS),
        PROBES,
        LOCKOUTS,
        Column("mfa_successes", "long", "Successful attempts with a second factor."),
        FIRST_AT,
        LAST_AT,
        LAST_SUCCESS_AT,
        LAST_FAILURE_AT,
        COUNTRY,
        IS_PRIVATE,
    ),
    shown=("window_at", "app", "username", "src_ip", "attempts", "failures"),
)

IP_ACTIVITY = Metric(
    name="ip_activity",
    meaning="Login attempts per source address.",
    dimensions=(SRC_IP,),
    measures=(
        ATTEMPTS,
        SUCCESSES,
        FAILURES,
        FAILURE_RATE,
        PROBES,
        LOCKOUTS,
        USERS,
        Column("users_failed", "long", "Distinct users with a failure."),
        APPS,
        COUNTRY,
        IS_PRIVATE,
        FIRST_AT,
        LAST_AT,
    ),
    shown=("window_at", "src_ip", "attempts", "successes", "failures", "probes", "users", "country"),
    stored="day",
)

USER_ACTIVITY = Metric(
    name="user_activity",
    meaning="Login attempts per user.",
    dimensions=(USERNAME,),
    measures=(
        ATTEMPTS,
        SUCCESSES,
        FAILURES,
        FAILURE_RATE,
        PROBES,
        IPS,
        Column("countries", "long", "Distinct countries with an attempt; unknown counts as one."),
        APPS,
        LOCKOUTS,
        LAST_SUCCESS_AT,
        LAST_FAILURE_AT,
    ),
    shown=("window_at", "username", "attempts", "successes", "failures", "ips", "countries"),
    stored="day",
)

APP_ACTIVITY = Metric(
    name="app_activity",
    meaning="Login attempts per app.",
    dimensions=(APP,),
    measures=(
        ATTEMPTS,
        SUCCESSES,
        FAILURES,
        PROBES,
        Column("active_users", "long", "Distinct users with a success."),
        Column("active_ips", "long", "Distinct source addresses with a success."),
        Column("mfa_rate", "double", "Successes with a second factor / successes; null without successes."),
    ),
    shown=("window_at", "app", "attempts", "successes", "failures", "active_users", "mfa_rate"),
    stored="day",
)

COUNTRY_ACTIVITY = Metric(
    name="country_activity",
    meaning="Login attempts per country of the source address.",
    dimensions=(COUNTRY,),
    measures=(ATTEMPTS, SUCCESSES, FAILURES, PROBES, USERS, IPS),
    shown=("window_at", "country", "attempts", "successes", "failures", "users", "ips"),
)

FAILURES_BY_REASON = Metric(
    name="failure_reasons",
    meaning="Failed login attempts per app and reason.",
    dimensions=(
        APP,
        Column(
            "reason",
            "string",
            f"One of {', '.join(FAILURE_REASONS)}; null if the source gives none.",
            values=FAILURE_REASONS,
        ),
    ),
    measures=(
        FAILURES,
        Column("users", "long", "Distinct users with such a failure."),
        Column("ips", "long", "Distinct source addresses with such a failure."),
    ),
    shown=("window_at", "app", "reason", "failures", "users", "ips"),
)

ACTIVE_USERS = Metric(
    name="active_users",
    meaning="Users who logged in: new ones, returning ones, and those who had been away.",
    dimensions=(),
    measures=(
        Column("active", "long", "Distinct users with a success: the sum of the other three."),
        Column("new", "long", "Users without a success before the window."),
        Column("returning", "long", "Users with a success less than 30 days before their first one in the window."),
        Column("reactivated", "long", "Users without a success for 30 days or longer, counted by the hour, then one."),
    ),
    every=("day", "week", "month"),
    history=None,
)

# The weeks before a window that are its baseline.
BASELINE_WEEKS = 4
HOUR_OF_WEEK = Metric(
    name="hour_of_week",
    meaning="The baseline of a window: per user and hour of the week, the login attempts in the same hours of the four "
    "weeks before. Summed over the users, it is the baseline of all of them.",
    dimensions=(
        USERNAME,
        Column("weekday", "long", "1 for Monday to 7 for Sunday, UTC."),
        Column("hour", "long", "Hour of the day, 0 to 23, UTC."),
    ),
    measures=(
        Column("attempts", "long", "Login attempts in these four hours of four weeks."),
        Column("successes", "long", "Those that succeeded."),
        Column("failures", "long", "Those that failed."),
    ),
    every=("hour", "day", "week"),
    history=timedelta(weeks=BASELINE_WEEKS),
)

METRICS: tuple[Metric, ...] = (
    IP_ACTIVITY,
    USER_ACTIVITY,
    APP_ACTIVITY,
    COUNTRY_ACTIVITY,
    FAILURES_BY_REASON,
    ACTIVE_USERS,
    HOUR_OF_WEEK,
)
STORED_METRICS: tuple[Metric, ...] = tuple(metric for metric in METRICS if metric.stored)
