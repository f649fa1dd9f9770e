"""Declarations of tables and metrics, which Spark, delta-rs, the API, the docs and the tests read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

# Windows are UTC; a week starts on Monday. A stored one lies within one day, which partitions its table.
StoredWindow = Literal["hour", "day"]
Window = Literal["hour", "day", "week", "month"]
WINDOWS: tuple[Window, ...] = get_args(Window)
# Delta's comment on a column that was added to an existing table: rows written before may be null there.
ADDED_COLUMN = "Added to an existing table"

# The primitive types in use: Delta's name to Arrow's.
ARROW_TYPES = {
    "string": "string",
    "long": "int64",
    "integer": "int32",
    "double": "float64",
    "boolean": "bool",
    "date": "date32[day]",
    "binary": "binary",
}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        type: Its type as Delta names it.
        meaning: One sentence for the docs.
        values: All values that this release writes, for a column of a closed list; empty if the list is open. A lake
            may have values of earlier releases.
    """

    name: str
    type: str | dict[str, Any]
    meaning: str
    values: tuple[str, ...] = ()

    @property
    def type_name(self) -> str:
        """The type as text on one line, such as `array of (key string, value binary)`."""
        return _type_name(self.type)

    def field_json(self) -> dict[str, Any]:
        """Return the column as a field of Delta's schema JSON."""
        return {"name": self.name, "type": self.type, "nullable": True, "metadata": {}}

    def arrow_field(self) -> pa.Field:
        """Return the column as an Arrow field; a timestamp is in microseconds, UTC."""
        import pyarrow as pa

        if isinstance(self.type, dict):
            raise TypeError(f"Column {self.name} is nested, and nested columns have no Arrow field here")
        if self.type == "timestamp":
            return pa.field(self.name, pa.timestamp("us", tz="UTC"))
        return pa.field(self.name, pa.type_for_alias(ARROW_TYPES[self.type]))


def _type_name(type_: str | Mapping[str, Any]) -> str:
    if isinstance(type_, str):
        return type_
    if type_["type"] == "array":
        return f"array of {_type_name(type_['elementType'])}"
    fields = (f"{field['name']} {_type_name(field['type'])}" for field in type_["fields"])
    return f"({', '.join(fields)})"


@dataclass(frozen=True)
class Table:
    """A Delta table: its location, its grain and its columns.

    Attributes:
        layer: bronze, silver or gold; also the folder under the lake's root.
        name: A plural noun of the rows.
        grain: What one row represents.
        key: The columns that identify a row; null is a value like any other.
        partition_by: The columns that partition the files.
        columns: All columns in order.
        shown: The columns that the command line prints as a table, so that a row fits a terminal; empty for all.
        properties: Delta table properties. Files have statistics on the key, unless a property names other columns.
    """

    layer: Literal["bronze", "silver", "gold"]
    name: str
    grain: str
    key: tuple[str, ...]
    partition_by: tuple[str, ...]
    columns: tuple[Column, ...]
    shown: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.column_names
        if len(set(names)) != len(names):
            raise ValueError(f"{self.full_name} declares a column twice")
        unknown = {*self.key, *self.partition_by, *self.shown} - set(names)
        if unknown:
            raise ValueError(f"{self.full_name} names columns that it does not declare: {sorted(unknown)}")

    @property
    def full_name(self) -> str:
        """`layer.name`, as in SQL and the API."""
        return f"{self.layer}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def instant(self) -> str | None:
        """The column whose UTC day partitions the files, such as `fired_at`; None for a table without partitions."""
        return f"{self.partition_by[-1].removesuffix('_on')}_at" if self.partition_by else None

    def schema_json(self) -> str:
        """Return Delta's schema JSON, which both Spark and delta-rs read."""
        return json.dumps({"type": "struct", "fields": [column.field_json() for column in self.columns]})

    def arrow_schema(self) -> pa.Schema:
        """Return the columns as an Arrow schema."""
        import pyarrow as pa

        return pa.schema([column.arrow_field() for column in self.columns])


@dataclass(frozen=True)
class Metric:
    """A metric per window: all its measures are computed from the base, and one window is optionally stored.

    Attributes:
        name: The name of the metric and of its stored table.
        meaning: One sentence for the list of metrics.
        dimensions: The columns that identify a row, beside its window.
        measures: The columns that are computed.
        shown: The columns that the command line prints as a table, so that a row fits a terminal; empty for all.
        every: The windows that it can be queried for.
        stored: The window that is stored as a Delta table, or None.
        history: How long before a window the base is read for it; None: from its beginning.
    """

    name: str
    meaning: str
    dimensions: tuple[Column, ...]
    measures: tuple[Column, ...]
    shown: tuple[str, ...] = ()
    every: tuple[Window, ...] = WINDOWS
    stored: StoredWindow | None = None
    history: timedelta | None = timedelta(0)

    @property
    def default_every(self) -> Window:
        """The window of a query that names none: the stored one, which is read fastest, else the day."""
        return self.stored or "day"

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of its rows: the window, the dimensions, the measures."""
        return (WINDOW_AT, WINDOW_ON, *self.dimensions, *self.measures)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return ("window_at", *(column.name for column in self.dimensions))

    @property
    def grain(self) -> str:
        """What one row represents."""
        dimensions = ", ".join(column.name for column in self.dimensions)
        return f"one row per {dimensions} and window" if dimensions else "one row per window"

    @property
    def table(self) -> Table:
        """The stored table of the metric; without a stored window, a table with the columns of its rows."""
        return Table(
            layer="gold",
            name=self.name,
            grain=self.grain.replace("window", self.stored or "window"),
            key=self.key,
            partition_by=("window_on",),
            columns=self.columns,
            shown=self.shown,
        )


WINDOW_AT = Column("window_at", "timestamp", "Start of the window, UTC.")
WINDOW_ON = Column("window_on", "date", "UTC day of window_at; the partition.")
