"""SQL over all tables of one snapshot, by polars."""

from __future__ import annotations

import polars as pl

from lakehouse.errors import BadQuery, LakeUnreadable
from lakehouse.snapshots import Snapshot
from lakehouse.tables import TABLES
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import SNAPSHOTS
from lakehouse.tables.silver import EVENTS
from serving.integrity import HINT
from serving.selection import Filter
from serving.store import Store

LOGINS = "logins"


def sql_frames(store: Store, snapshot: Snapshot) -> dict[str, pl.LazyFrame]:
    """Return every table of a snapshot under its name, with and without its layer, and the view `logins`.

    `logins` has the accepted rows of silver.events with action `login`.

    Raises:
        SchemaDiffers: A table has an undeclared column, or one of another type.
    """
    unversioned = (RAW_LOGS, SNAPSHOTS)
    tables = [table for table in TABLES.values() if table in unversioned or table.full_name in snapshot.versions]
    frames = {table.full_name: store.rows(table, snapshot) for table in tables}
    frames |= {table.name: frames[table.full_name] for table in tables}
    attempts = (Filter("verdict", ("accepted",)), Filter("action", ("login",)))
    return {**frames, LOGINS: frames[EVENTS.full_name].filter(*(each.expression() for each in attempts))}


def sql_answer(statement: str, store: Store, *, snapshot: Snapshot) -> pl.DataFrame:
    """Return the rows of a SELECT.

    Raises:
        BadQuery: Polars can't parse the SQL, or it names an unknown table or column.
        SchemaDiffers: A table has an undeclared column, or one of another type.
        LakeUnreadable: A file is missing or damaged.
    """
    frames = sql_frames(store, snapshot)
    try:
        return pl.SQLContext(frames).execute(statement, eager=True)
    except (OSError, pl.exceptions.PanicException) as error:
        raise LakeUnreadable(f"A table can't be read ({type(error).__name__})", hint=HINT) from error
    except (UnicodeEncodeError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        tables = ", ".join(name for name in sorted(frames) if "." not in name)
        raise BadQuery(f"The SQL can't be executed: {reason}", hint=f"The tables are {tables}") from error
