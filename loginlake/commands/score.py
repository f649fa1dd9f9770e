"""`loginlake score`: compare detections with ground truth and labels, without Spark."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from lakehouse.clock import instant_text
from lakehouse.entrypoint import print_text
from lakehouse.options import SettingsCommand
from lakehouse.tables.gold import LABEL_VALUES
from loginlake import scoring
from loginlake.commands.output import Json, print_json, print_rows
from loginlake.commands.reading import AsOf, SnapshotId, Truth, open_store, requested_snapshot, requested_truths

if TYPE_CHECKING:
    from loginlake.scoring import Alert, Score, Tally
    from producer.ground_truth import PlantedCase

app = typer.Typer(add_completion=False)


@app.command(cls=SettingsCommand, epilog="For example: loginlake score --truth truth.json")
def score(*, truth: Truth = None, as_of: AsOf = None, snapshot: SnapshotId = None, json: Json = False) -> None:
    """Compare detections with the planted attacks of generated events, and with labels: recall, precision, alerts.

    A label of `loginlake label` counts where no ground truth file names what happened.
    Rules of severity medium and higher count towards recall and precision. For the others, the alerts per 1,000 users
    and day are reported. docs/scoring.md describes when a detection matches an attack.
    """
    store = open_store()
    from gold.rules import load_rules
    from lakehouse.errors import UsageError
    from lakehouse.tables.gold import DETECTIONS
    from loginlake.labeled import labeled_detections
    from loginlake.truths import covered

    named = requested_snapshot(store, as_of=as_of, snapshot=snapshot)
    truths = requested_truths(truth, store, snapshot=named)
    severities = {rule.name: rule.severity for rule in load_rules(store.settings)}
    labels = labeled_detections(store, named)
    if not truths and not labels:
        raise UsageError(
            "There is no truth to compare with", hint="Name a --truth file of this lake, or give detections a label"
        )
    rows = store.rows(DETECTIONS, named).collect().to_dicts()
    result = scoring.score(list(truths.values()), rows, severities=severities, labels=labels)
    if json:
        print_json({"snapshot": named.id, **score_json(result)})
    else:
        if truths:
            print_text(covered(truths))
        print_score(result, title=f"Snapshot {named.id}")


def print_score(score: Score, *, title: str) -> None:
    """Print a summary, a table of the rules, and the misses and false alarms."""
    print_text(f"{title}: {scoring.summary(score)}\n{scoring.DEFINITIONS}")
    if score.has_truth:
        _print_rules(score)
    else:
        rows = [{"rule": rule, **score.labels(rule)} for rule in score.severities]
        print_rows([row for row in rows if any(row[label] for label in LABEL_VALUES)], title="Labels of each rule")
    print_rows([{"rule": rule, **_case_row(case)} for rule, case in score.misses], title="Attacks that a rule missed")
    print_rows([_alert_row(alert) for alert in score.false_alarms], title="False alarms")
    if score.others:
        why = "outside the time of the ground truth" if score.has_truth else "without a label"
        print_text(
            f"Not scored: {score.others:,} detection{'' if score.others == 1 else 's'}, {why} or of unknown rules"
        )


def _print_rules(score: Score) -> None:
    others = [rule for rule in score.severities if rule not in score.counted_rules]
    print_rows([_counted_row(score, rule) for rule in score.counted_rules], title="Rules of severity medium and higher")
    print_rows([_uncounted_row(score, rule) for rule in others], title="Rules of lower severity")


def score_json(score: Score) -> dict[str, Any]:
    """Return the score as values for JSON."""
    total = _tally_json(score, score.total)
    total |= {"attacks": len(score.attacks), "attacks_found": len(score.found_attacks)}
    total |= {"look_alikes": len(score.look_alikes), "look_alikes_detected": len(score.detected_look_alikes)}
    return {
        "days": score.days,
        "users": score.users,
        "total": total,
        "rules": [
            {"rule": rule, "severity": severity, **_tally_json(score, score.tally(rule))}
            for rule, severity in score.severities.items()
        ],
        "misses": [{"rule": rule, **_case_json(case)} for rule, case in score.misses],
        "false_alarms": [_alert_json(alert) for alert in score.false_alarms],
        "not_scored": score.others,
    }


def _tally_json(score: Score, tally: Tally) -> dict[str, Any]:
    return asdict(tally) | {
        "recall": tally.recall,
        "precision": tally.precision,
        "alerts_per_day": score.alerts_per_day(tally),
        "alerts_per_1000_users_and_day": score.alerts_per_1000_users_and_day(tally),
    }


def _case_json(case: PlantedCase) -> dict[str, Any]:
    return {
        "scenario": case.scenario,
        "sources": case.sources,
        "users": case.users,
        "first_at": instant_text(case.first_at),
        "last_at": instant_text(case.last_at),
    }


def _alert_json(alert: Alert) -> dict[str, Any]:
    named = ("detection_id", "rule", "entity_type", "entity", "severity")
    times = {name: instant_text(alert.detection[name]) for name in ("first_at", "fired_at", "last_at")}
    look_alike = alert.look_alike and alert.look_alike.scenario
    return {name: alert.detection[name] for name in named} | times | {"look_alike": look_alike, "label": alert.label}


def _counted_row(score: Score, rule: str) -> dict[str, Any]:
    tally = score.tally(rule)
    return {
        "rule": rule,
        "found": f"{tally.found} of {tally.cases}",
        "alerts": tally.alerts,
        "false": tally.false_alarms,
        **_labeled(score, tally),
        "precision": tally.precision,
        "alerts a day": _short(score.alerts_per_day(tally)),
    }


def _uncounted_row(score: Score, rule: str) -> dict[str, Any]:
    tally = score.tally(rule)
    return {
        "rule": rule,
        "found": f"{tally.found} of {tally.cases}",
        "alerts": tally.alerts,
        **_labeled(score, tally),
        "a day and 1,000 users": _short(score.alerts_per_1000_users_and_day(tally)),
    }


def _short(value: float | None) -> float | None:
    """Return a rate as a table shows it: with two significant digits, or whole from 10."""
    if value is None:
        return None
    return float(f"{value:.2g}") if value < 10 else float(round(value))


def _labeled(score: Score, tally: Tally) -> dict[str, int]:
    """Return the column of the labeled alerts, if there are any in the whole table."""
    return {"labeled": tally.labeled} if any(alert.label for alert in score.alerts) else {}


def _case_row(case: PlantedCase) -> dict[str, Any]:
    return {"scenario": case.scenario, "entity": case.expected[0].entity, "first_at": case.first_at}


def _alert_row(alert: Alert) -> dict[str, Any]:
    row = {name: alert.detection[name] for name in ("fired_at", "rule", "entity")}
    look_alike = alert.look_alike and alert.look_alike.scenario
    return row | {"look_alike": look_alike, "label": alert.label, "detection_id": alert.detection["detection_id"]}
