"""The rule mfa_fatigue: a user's second factor is asked for and refused again and again."""

from __future__ import annotations

from typing import Annotated

import narwhals.stable.v2 as nw
import polars as pl
from msgspec import Meta

from gold.rules.measures import FAILURES, SUCCESSES, distinct
from gold.rules.model import Contexts, Rule, Severity
from gold.rules.sources import ELASTIC_OKTA
from gold.rules.windows import MICROSECOND, at_rows, regrouped, sliding_counts, split

FAILED = pl.when(pl.col("outcome") == "failure").then("times").otherwise(0)


class MfaFatigue(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user fails or refuses the second factor again and again: someone has the password and asks until they give in.

    A success with a second factor ends the series, if it is from an address with a failure in the window before it: the
    user may log in elsewhere meanwhile. The source takes any success. If the success follows within a window after the
    rule fired, it belongs to the detection and raises its severity.
    """

    name = "mfa_fatigue"
    entity = "username"
    is_counted = pl.col("outcome") == "failure"
    select = (nw.col("action") == "login") & (
        ((nw.col("outcome") == "failure") & (nw.col("failure_reason") == "mfa_failed"))
        | ((nw.col("outcome") == "success") & nw.col("is_mfa"))
    )
    measures = (
        FAILURES.alias("failures"),
        SUCCESSES.alias("successes"),
        distinct("src_ip").alias("ips"),
    )
    sources = (
        f"{ELASTIC_OKTA}/credential_access_okta_mfa_bombing_via_push_notifications.toml",
        f"{ELASTIC_OKTA}/credential_access_okta_potentially_successful_okta_bombing_via_push_notifications.toml",
    )
    false_alarms = "A user who mistypes one-time codes, or whose device has a wrong clock."

    failures: Annotated[int, Meta(ge=1, description="Failures of the second factor within the window, at least.")]
    severity_after_success: Annotated[
        Severity, Meta(description="Severity of a detection in which a success followed.")
    ]

    @property
    def min_occurrences(self) -> int:
        """The fewest failures with which the rule can fire."""
        return self.failures

    def find(self, events: Contexts) -> pl.Series:
        """Return whether a window of a series has enough failures, and whether a success soon follows."""
        is_end = self.ends_series(events)
        series = split(events.with_columns(times=FAILED), is_end.shift(1, fill_value=False))
        fired = (events["outcome"] == "failure") & (sliding_counts(series, window=self.window) >= self.failures)
        clock = series["clock"]
        since_fired = clock - clock.zip_with(fired, pl.Series([None], dtype=pl.Int64)).forward_fill()
        return fired | (is_end & (since_fired < self.window // MICROSECOND).fill_null(value=False))

    def ends_series(self, events: Contexts) -> pl.Series:
        """Return whether an event is a success from an address with a failure in the window before it."""
        of_ips = regrouped(events.with_columns(times=FAILED), "src_ip")
        is_end = (of_ips["outcome"] == "success") & (sliding_counts(of_ips, window=self.window) > 0)
        return at_rows(of_ips["row"].filter(is_end), of=events)

    def severity_of(self) -> pl.Expr:
        """Return the higher severity if one of the hits is a success."""
        succeeded = (pl.col("is_hit") & (pl.col("outcome") == "success")).any()
        return pl.when(succeeded).then(pl.lit(self.severity_after_success)).otherwise(pl.lit(self.severity))
