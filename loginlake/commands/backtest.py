"""`loginlake backtest`: what a rule would find with other thresholds, without Spark and without writing anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.clock import instant_text, utc_now
from lakehouse.errors import BadQuery, name_hint
from lakehouse.options import SettingsCommand
from loginlake.commands.output import Json, print_json, print_rows
from loginlake.commands.reading import (
    AsOf,
    Since,
    SnapshotId,
    Truth,
    Until,
    open_store,
    requested_period,
    requested_snapshot,
    requested_truths,
)

if TYPE_CHECKING:
    from gold.rules.model import AnyRule
    from loginlake.backtest import Pair
    from loginlake.labeled import Labeled
    from loginlake.matching import Detection
    from producer.ground_truth import TruthFile

app = typer.Typer(add_completion=False)

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="Name of a rule, see docs/rules.md.")]
Change = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="A threshold to change. Repeat it for several.")
]


@app.command(cls=SettingsCommand, epilog="For example: loginlake backtest brute_force_ip --set signals=10 --from -7d")
def backtest(  # noqa: PLR0913 - each parameter is an option of the command
    rule: RuleName,
    *,
    change: Change,
    since: Since = None,
    until: Until = None,
    as_of: AsOf = None,
    snapshot: SnapshotId = None,
    truth: Truth = None,
    json: Json = False,
) -> None:
    """Show what a rule finds with its present thresholds (now) and with other ones (then), side by side.

    Both are evaluated on the events of a snapshot; nothing is written. --from and --to select by the time at which a
    detection fired.
    """
    store = open_store()
    from gold.rules import load_rules
    from lakehouse.conf import conf_folder
    from lakehouse.tables.silver import EVENTS
    from loginlake.backtest import changed_rule, detections, pairs
    from loginlake.labeled import labeled_detections
    from loginlake.scoring import within

    rules = load_rules(store.settings)
    present = _rule(rule, rules)
    changed = changed_rule(present, change, folder=conf_folder(store.settings))
    period = requested_period(since, until, now=utc_now())
    named = requested_snapshot(store, as_of=as_of, snapshot=snapshot)
    truths = [within(each, period) for each in requested_truths(truth, store, snapshot=named).values()]
    labels = labeled_detections(store, named, period=period)
    events = store.rows(EVENTS, named)
    now, then = (detections(events, each, others=rules, period=period) for each in (present, changed))
    tried = (("now", present, now), ("then", changed, then))
    sides = {name: _side(each, found, truths=truths, labels=labels) for name, each, found in tried}
    if json:
        listed = [_pair_json(pair) for pair in pairs(now, then)]
        print_json({"snapshot": named.id, "rule": rule, **sides, "detections": listed})
    else:
        typer.echo(f"Rule {rule}, snapshot {named.id}\n")
        names = [name for name in present.__struct_fields__ if getattr(present, name) != getattr(changed, name)]
        print_rows(_summary_rows(sides, changed=names, has_truth=bool(truths)))
        print_rows([_pair_row(pair) for pair in pairs(now, then)], title="When each detection fired")


def _rule(name: str, rules: Iterable[AnyRule]) -> AnyRule:
    """Return the rule of a name.

    Raises:
        BadQuery: No rule has that name.
    """
    by_name = {rule.name: rule for rule in rules}
    if name not in by_name:
        raise BadQuery(f"There is no rule {name!a}", hint=name_hint(name, by_name))
    return by_name[name]


def _side(
    rule: AnyRule, found: Sequence[Detection], *, truths: Sequence[TruthFile], labels: Sequence[Labeled]
) -> dict[str, Any]:
    """Return the thresholds of a rule and what it found; recall and precision are None without truth and labels."""
    import msgspec

    return {
        "thresholds": msgspec.to_builtins(rule, enc_hook=str),
        "detections": len(found),
        "entities": len({row["entity"] for row in found}),
        "recall": None,
        "precision": None,
        **_scored(rule, found, truths=truths, labels=[each for each in labels if each.detection["rule"] == rule.name]),
    }


def _scored(
    rule: AnyRule, found: Sequence[Detection], *, truths: Sequence[TruthFile], labels: Sequence[Labeled]
) -> dict[str, Any]:
    from loginlake.scoring import score

    if not truths and not labels:
        return {}
    result = score(truths, found, severities={rule.name: rule.severity}, labels=labels)
    tally = result.tally(rule.name)
    figures = {"recall": tally.recall, "precision": tally.precision, "cases": tally.cases}
    return figures | ({"labeled": tally.labeled, "labels": result.labels(rule.name)} if labels else {})


def _summary_rows(
    sides: Mapping[str, Mapping[str, Any]], *, changed: Sequence[str], has_truth: bool
) -> list[dict[str, str]]:
    """Return the changed thresholds and the figures, with a column for each side."""
    thresholds = {name: side["thresholds"] for name, side in sides.items()}
    figures = {name: _figures(side, has_truth=has_truth) for name, side in sides.items()}
    shown = [key for key in figures["now"] if any(values[key] is not None for values in figures.values())]
    return [
        *({"": key} | {name: _threshold(values[key]) for name, values in thresholds.items()} for key in changed),
        *({"": key} | {name: _figure(values[key]) for name, values in figures.items()} for key in shown),
    ]


def _figures(side: Mapping[str, Any], *, has_truth: bool) -> dict[str, float | None]:
    """Return the figures of a side: counts and labels, and with ground truth recall, precision and cases."""
    counts = {name: side[name] for name in ("detections", "entities")}
    labels = {f"labeled {label}": count for label, count in side.get("labels", {}).items()}
    if has_truth:
        return counts | {name: side[name] for name in ("recall", "precision", "cases")} | labels
    return counts | labels | ({"without a label": side["detections"] - side["labeled"]} if labels else {})


def _threshold(value: Any) -> str:
    """Return a threshold for a person: a list without brackets, a whole number without `.0`."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _pair_row(pair: Pair) -> dict[str, Any]:
    return {"entity": pair.either["entity"], "now": _fired_at(pair.now), "then": _fired_at(pair.then)}


def _fired_at(row: Detection | None) -> str | None:
    return None if row is None else f"{row['fired_at']:%Y-%m-%d %H:%M:%S}"


def _pair_json(pair: Pair) -> dict[str, Any]:
    return {"entity": pair.either["entity"], "now": _detection_json(pair.now), "then": _detection_json(pair.then)}


def _detection_json(row: Detection | None) -> dict[str, Any] | None:
    if row is None:
        return None
    times = {name: instant_text(row[name]) for name in ("first_at", "fired_at", "last_at")}
    return {"detection_id": row["detection_id"], **times, "severity": row["severity"]}
