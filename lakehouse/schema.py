"""The declared columns of a table as Spark's schema, compared with those of a live table."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (the name every Spark user knows)
from pyspark.sql.types import StructField, StructType

from lakehouse.errors import SchemaDiffers
from lakehouse.tables.model import Table


def struct_type(table: Table) -> StructType:
    """Return the declared columns as Spark's schema."""
    return StructType.fromJson(json.loads(table.schema_json()))


def missing_columns(table: Table, live: StructType) -> list[StructField]:
    """Return the declared columns that a live table lacks.

    Raises:
        SchemaDiffers: The live table has a column of another type, or one that is not declared.
    """
    declared = {column.name: column for column in struct_type(table)}
    types = {column.name: column.dataType for column in live}
    differences = {}
    for name, live_type in types.items():
        if name not in declared:
            differences[name] = f"{name} is not declared"
        elif (declared_type := declared[name].dataType) != live_type:
            differences[name] = f"{name} is {live_type.simpleString()}, declared {declared_type.simpleString()}"
    if differences:
        raise SchemaDiffers(
            f"{table.full_name} differs from its declaration: {'; '.join(differences.values())}",
            hint="Use the release that wrote the table, or set LOGINLAKE_ROOT to a new folder",
            table=table.full_name,
            columns=list(differences),
        )
    return [column for name, column in declared.items() if name not in types]


def with_declared_columns(table: Table, rows: DataFrame, *, more: Sequence[str] = ()) -> DataFrame:
    """Return the declared columns of the rows, in the declared order, and `more` of their columns.

    A declared column that the rows lack is null.
    """
    live = rows.schema.names
    # Each column of a select is several calls to the JVM, and a refresh reads tables dozens of times.
    if live == [*table.column_names, *more]:
        return rows
    columns = (
        F.col(column.name) if column.name in live else F.lit(None).cast(column.dataType).alias(column.name)
        for column in struct_type(table)
    )
    return rows.select(*columns, *more)
