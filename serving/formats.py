"""In which format an answer is wanted, and rows written in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR
from typing import Any

import msgspec
import polars as pl

from serving.parameters import Parameter
from serving.problems import NotAcceptable
from serving.values import one_of

# Beyond it, doubles (and so the numbers of JavaScript) skip integers.
LARGEST_EXACT = 2**53
# A fraction only where there is one, as in JSON.
CSV_INSTANT = "%Y-%m-%dT%H:%M:%S%.fZ"
JSON = "application/json"
CSV = "text/csv"
MEDIA_TYPES = {"json": JSON, "csv": CSV}

FORMAT: Parameter[str] = Parameter(
    "format",
    one_of(*MEDIA_TYPES),
    "Format of the answer, before what Accept says.",
    schema={"type": "string", "enum": list(MEDIA_TYPES), "default": "json"},
)


@dataclass(frozen=True)
class Range:
    """One media range of an Accept header, with its weight."""

    pattern: str
    weight: float


def media_type(asked: str | None, accept: str | None) -> str:
    """The media type to answer in: `format=` decides, then the Accept header, then JSON.

    Raises:
        NotAcceptable: The header takes none of ours.
    """
    if asked is not None:
        return MEDIA_TYPES[asked]
    if accept is None:
        return JSON
    ranges = [_range(part) for part in accept.split(",")]
    best = max(MEDIA_TYPES.values(), key=lambda ours: _wish(ours, ranges))
    if _wish(best, ranges)[0] > 0:
        return best
    raise NotAcceptable("None of the accepted formats is written here", hint=f"Accept {JSON} or {CSV}")


def json_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON values: integers beyond 2^53 and instants beyond the calendar as text.

    What is not finite becomes null when encoded.
    """
    longs = [name for name, type_ in rows.schema.items() if type_ == pl.Int64 and _is_large(rows[name])]
    far = [name for name, type_ in rows.schema.items() if type_ == pl.Datetime and _is_far(rows[name])]
    dicts = rows.with_columns(pl.col(far).dt.to_string(CSV_INSTANT)).to_dicts()
    for row in dicts:
        for name in longs:
            value = row[name]
            row[name] = str(value) if value is not None and abs(value) > LARGEST_EXACT else value
    return dicts


def csv(rows: pl.DataFrame) -> bytes:
    """Rows as CSV with a header, UTF-8; null and what is not finite is empty, bytes are base64, lists are JSON."""
    flat = rows.select(_flat(name, type_) for name, type_ in rows.schema.items())
    return flat.write_csv(datetime_format=CSV_INSTANT).encode()


def _wish(media_type: str, ranges: Sequence[Range]) -> tuple[float, int]:
    """How much a media type is wanted: the weight of the closest range that covers it, then how early that stands."""
    for pattern in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        for place, wanted in enumerate(ranges):
            if wanted.pattern == pattern:
                return wanted.weight, -place
    return 0.0, 0


def _range(part: str) -> Range:
    pattern, *options = (word.strip().lower() for word in part.split(";"))
    weights = [option.removeprefix("q=") for option in options if option.startswith("q=")]
    try:
        weight = float(weights[0]) if weights else 1.0
    except ValueError:
        weight = 0.0  # one that can't be read is no wish for it
    return Range(pattern, weight if weight > 0 else 0.0)


def _is_large(values: pl.Series) -> bool:
    return not values.is_between(-LARGEST_EXACT, LARGEST_EXACT).all()


def _is_far(values: pl.Series) -> bool:
    return not values.dt.year().is_between(MINYEAR, MAXYEAR).all()


def _flat(name: str, type_: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if type_.is_float():
        return pl.when(column.is_finite()).then(column)
    if type_ == pl.Binary:
        return column.bin.encode("base64")
    return column.map_elements(_json_text, return_dtype=pl.String) if type_.is_nested() else column


def _json_text(value: Any) -> str:
    values = value.to_list() if isinstance(value, pl.Series) else value
    return msgspec.json.encode(values).decode()
