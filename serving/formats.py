"""The formats of answers: which one a request wants, and rows as JSON values or CSV."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR
from typing import Any

import msgspec
import polars as pl

from serving.parameters import Parameter, one_of
from serving.problems import NotAcceptable

# Beyond it, doubles (and so the numbers of JavaScript) skip integers.
LARGEST_EXACT = 2**53
# A fraction only where there is one, as in JSON.
CSV_INSTANT = "%Y-%m-%dT%H:%M:%S%.fZ"
# Text columns that contain JSON, which a JSON answer has as values instead of text.
JSON_COLUMNS = frozenset(
    {
        *("measures", "evidence", "evidence_users", "evidence_ips", "success_users", "success_evidence", "reasons"),
        *("versions", "offsets", "enrichment", "old_values", "new_values", "metrics"),
    }
)
JSON = "application/json"
CSV = "text/csv"
MEDIA_TYPES = {"json": JSON, "csv": CSV}

FORMAT: Parameter[str] = Parameter(
    "format",
    one_of(*MEDIA_TYPES),
    "Format of the answer; takes precedence over the Accept header.",
    schema={"type": "string", "enum": list(MEDIA_TYPES), "default": "json"},
)


@dataclass(frozen=True)
class MediaRange:
    """One media range of an Accept header, with its weight."""

    pattern: str
    weight: float


def media_type(
    requested: str | None, accept: str | None, *, offered: Collection[str] = tuple(MEDIA_TYPES.values())
) -> str:
    """Return the media type of the answer: that of `format=`, else the best of the Accept header, else JSON.

    Args:
        requested: The value of `format=`; None if it is not given.
        accept: The Accept header; None if there is none.
        offered: The media types in which the resource can be written.

    Raises:
        NotAcceptable: The header accepts none of the offered media types.
    """
    if requested is not None:
        return MEDIA_TYPES[requested]
    if accept is None:
        return JSON
    ranges = [_media_range(part) for part in accept.split(",")]
    best = max(offered, key=lambda ours: _preference(ours, ranges))
    if _preference(best, ranges)[0] > 0:
        return best
    raise NotAcceptable("The Accept header names no format that can be written", hint=f"Accept {' or '.join(offered)}")


def json_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows as JSON values: integers beyond 2^53 and instants beyond Python's calendar as text.

    Numbers that are not finite become null when they are encoded.
    """
    longs = [name for name, type_ in rows.schema.items() if type_ == pl.Int64 and _has_large(rows[name])]
    far = [name for name, type_ in rows.schema.items() if type_ == pl.Datetime and _has_far(rows[name])]
    dicts = rows.with_columns(pl.col(far).dt.to_string(CSV_INSTANT)).to_dicts()
    for row in dicts:
        for name in longs:
            value = row[name]
            row[name] = str(value) if value is not None and abs(value) > LARGEST_EXACT else value
    return dicts


def with_json_values(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the values of columns of JSON text instead of the text; a text that is not JSON is kept."""
    for row in rows:
        for name in JSON_COLUMNS & row.keys():
            row[name] = _json_value(row[name])
    return rows


def csv(rows: pl.DataFrame) -> bytes:
    """Return rows as UTF-8 CSV with a header: nulls and numbers that are not finite empty, bytes base64, lists JSON."""
    flat = rows.select(_flat(name, type_) for name, type_ in rows.schema.items())
    return flat.write_csv(datetime_format=CSV_INSTANT).encode()


def _preference(media_type: str, ranges: Sequence[MediaRange]) -> tuple[float, int]:
    """Return the weight of the most specific range that covers a media type, then how early that range stands."""
    for pattern in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        for position, each in enumerate(ranges):
            if each.pattern == pattern:
                return each.weight, -position
    return 0.0, 0


def _media_range(part: str) -> MediaRange:
    pattern, *options = (word.strip().lower() for word in part.split(";"))
    weights = [option.removeprefix("q=") for option in options if option.startswith("q=")]
    try:
        weight = float(weights[0]) if weights else 1.0
    except ValueError:
        weight = 0.0  # a malformed weight accepts nothing
    return MediaRange(pattern, weight if weight > 0 else 0.0)


def _json_value(text: Any) -> Any:
    if not isinstance(text, str) or text[:1] not in {"{", "["}:
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _has_large(values: pl.Series) -> bool:
    return not values.is_between(-LARGEST_EXACT, LARGEST_EXACT).all()


def _has_far(values: pl.Series) -> bool:
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
