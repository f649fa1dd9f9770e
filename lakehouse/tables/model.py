"""How a table and a metric are declared: once, and read by Spark, delta-rs, the API, the docs and the tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Window = Literal["hour", "day"]
# Delta's comment on a column that was added to an existing table: rows written before may be null there.
ADDED_COLUMN = "Added to an existing table"

# Delta's own names of the primitive types that our tables use, and Arrow's.
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
    """A column: its name, its type in Delta's own words, and what it means."""

    name: str
    type: str | dict[str, Any]
    meaning: str

    def field_json(self) -> dict[str, Any]:
        """The column as a field of Delta's schema JSON."""
        return {"name": self.name, "type": self.type, "nullable": True, "metadata": {}}

    def arrow_field(self) -> pa.Field:
        """The column as an Arrow field; a timestamp is UTC in microseconds."""
        import pyarrow as pa

        if isinstance(self.type, dict):
            raise TypeError(f"column {self.name} is nested; only bronze has such a column and it never leaves Spark")
        if self.type == "timestamp":
            return pa.field(self.name, pa.timestamp("us", tz="UTC"))
        return pa.field(self.name, pa.type_for_alias(ARROW_TYPES[self.type]))


@dataclass(frozen=True)
class Table:
    """A Delta table: where it lies, what one row is, and its columns.

    Attributes:
        layer: bronze, silver or gold; also the folder under the lake's root.
        name: A plural noun of the rows.
        grain: What one row stands for.
        key: Columns whose values (null is one) name a row.
        partition_by: Columns the files are laid out by.
        columns: All columns in order.
        properties: Delta table properties; files have statistics of the key unless they name other columns.
    """

    layer: Literal["bronze", "silver", "gold"]
    name: str
    grain: str
    key: tuple[str, ...]
    partition_by: tuple[str, ...]
    columns: tuple[Column, ...]
    properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.column_names
        if len(set(names)) != len(names):
            raise ValueError(f"{self.full_name} declares a column twice")
        unknown = {*self.key, *self.partition_by} - set(names)
        if unknown:
            raise ValueError(f"{self.full_name} has keys or partitions that are no columns: {sorted(unknown)}")

    @property
    def full_name(self) -> str:
        """`layer.name`, as SQL and the API say it."""
        return f"{self.layer}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def instant(self) -> str | None:
        """The column whose UTC day the files are laid out by, such as `fired_at`; None where they are by no day."""
        return f"{self.partition_by[-1].removesuffix('_on')}_at" if self.partition_by else None

    def schema_json(self) -> str:
        """Delta's schema JSON, which Spark and delta-rs both read."""
        return json.dumps({"type": "struct", "fields": [column.field_json() for column in self.columns]})

    def arrow_schema(self) -> pa.Schema:
        """The columns as an Arrow schema."""
        import pyarrow as pa

        return pa.schema([column.arrow_field() for column in self.columns])


@dataclass(frozen=True)
class Metric:
    """A measure of logins per window: declared once, computed from the base, and perhaps stored too.

    Attributes:
        name: Also the name of its stored table.
        meaning: One sentence for the catalogue.
        dimensions: What a row is about besides its window.
        measures: What is counted.
        every: The windows it can be asked for.
        stored: The one window that is also a Delta table, or None.
    """

    name: str
    meaning: str
    dimensions: tuple[Column, ...]
    measures: tuple[Column, ...]
    every: tuple[Window, ...] = ("hour", "day")
    stored: Window | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of an answer: the window, the dimensions, the measures."""
        return (WINDOW_AT, WINDOW_ON, *self.dimensions, *self.measures)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return ("window_at", *(column.name for column in self.dimensions))

    @property
    def table(self) -> Table:
        """The stored table of this metric; without a stored window, the shape of its answers."""
        return Table(
            layer="gold",
            name=self.name,
            grain=f"one row per {' and '.join(c.name for c in self.dimensions)} and {self.stored or 'window'}",
            key=self.key,
            partition_by=("window_on",),
            columns=self.columns,
        )


WINDOW_AT = Column("window_at", "timestamp", "Start of the window, UTC.")
WINDOW_ON = Column("window_on", "date", "UTC day of window_at; the partition.")
