"""The last step of every transform: exactly the declared columns, in the declared types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import narwhals.stable.v2 as nw

from lakehouse.tables.model import Column


def with_declared_types(rows: nw.LazyFrame[Any], columns: Iterable[Column]) -> Any:
    """Return exactly the declared columns in the declared types; the engines differ in the types of counts.

    Args:
        rows: A narwhals frame of Spark or polars.
        columns: The declared columns, each of which the rows have.

    Returns:
        A lazy frame of the same engine.
    """
    import pyarrow as pa

    schema = nw.Schema.from_arrow(pa.schema([column.arrow_field() for column in columns]))
    live = rows.collect_schema()
    # On Spark each cast is several calls to its JVM.
    return rows.select(
        nw.col(name) if live[name] == dtype else nw.col(name).cast(dtype) for name, dtype in schema.items()
    ).to_native()
