"""SQL over all tables of one snapshot, by polars."""

from __future__ import annotations

import re

import polars as pl

from lakehouse.clock import utc_now
from lakehouse.errors import BadQuery, LakeUnreadable, did_you_mean, name_hint
from lakehouse.snapshots import Snapshot
from lakehouse.tables import READABLE, VIEWS
from lakehouse.tables.bronze import RAW_LOGS
from lakehouse.tables.gold import LABELS, SNAPSHOTS
from lakehouse.tables.metrics import METRICS
from lakehouse.tables.model import Column, Table
from lakehouse.tables.silver import EVENTS
from serving.delta_tables import declared_schema
from serving.integrity import HINT
from serving.metrics import metric_frame, source_of
from serving.selection import Filter
from serving.statement import bare_words, check_reads_only, described_name, with_instant, words_of
from serving.store import Store

Frames = dict[str, pl.LazyFrame]

LOGINS = "logins"
COUNT_IN_POLARS = "len"
# A column that raw_logs has in SQL only.
TEXT = Column(
    "text", "string", "The record's bytes as text, for searching; in SQL only. Bytes that are not UTF-8 are �."
)
INSTANT_HINT = (
    "Compare an instant with now(), with text such as '2026-01-31T08:00:00Z', or with '2026-01-31'::timestamptz"
)
# The columns that the parser takes for words of SQL.
RESERVED_COLUMNS = ("offset", "returning")
BYTES_HINT = "Bytes are not text: search the column text of raw_logs, such as text like '%ada%'"
# In the errors of polars about bytes where it needs text.
BYTES_ERRORS = ("got: binary", "invalid utf8")
DIALECT_HINT = (
    "The dialect is that of polars. SHOW TABLES lists the tables and views, DESCRIBE TABLE the columns of one"
)
# The errors of polars about an unknown name.
UNKNOWN_COLUMN = re.compile(r'unable to find column "(?P<name>[^"]*)"; valid columns: (?P<known>.*)')
PARSER_ERROR = "sql parser error"
# What stands before a text that a column is compared with.
COMPARED_WITH = r"""(?:(?<![<>])=|<>|\bin\s*\([^)]*?)\s*"?{}(?!\w)"""
# How errors of polars about damaged files begin; its errors about a statement have the same classes.
DAMAGED_FILE = re.compile(r"parquet\b|out-of-spec|unable to decode the encoded schema")
UNKNOWN_TABLE = re.compile(r"relation '(?P<name>[^']*)' was not found")


def sql_answer(statement: str, store: Store, *, snapshot: Snapshot) -> pl.DataFrame:
    """Return the rows of a SELECT, or for DESCRIBE the columns of the table or view that it names.

    Raises:
        BadQuery: The statement is not a read, polars can't parse it, or it names an unknown table or column.
        SchemaDiffers: A table that it names has an undeclared column, or one of another type.
        LakeUnreadable: A file is missing or damaged.
        SnapshotExpired: The snapshot has expired since it was looked up, and its files are deleted.
    """
    if (name := described_name(statement)) is not None:
        return _description(name, _frames(store, snapshot, named=set()))
    check_reads_only(statement)
    with store.reading_snapshot(snapshot):
        return _executed(statement, _frames(store, snapshot, named=words_of(statement)))


def _executed(statement: str, frames: Frames) -> pl.DataFrame:
    try:
        rows = pl.SQLContext(frames).execute(with_instant(statement, utc_now()), eager=True)
    except (OSError, pl.exceptions.PanicException) as error:
        raise LakeUnreadable(f"A table can't be read ({type(error).__name__})", hint=HINT) from error
    except (UnicodeEncodeError, pl.exceptions.PolarsError) as error:
        if DAMAGED_FILE.match(str(error)):
            raise LakeUnreadable(f"A table can't be read ({type(error).__name__})", hint=HINT) from error
        raise _refusal(str(error).partition("\n")[0], frames, statement=statement) from error

    # polars names count(*) as its function is named.
    is_count = COUNT_IN_POLARS in rows.columns and COUNT_IN_POLARS not in words_of(statement)
    return rows.rename({COUNT_IN_POLARS: "count"}) if is_count and "count" not in rows.columns else rows


def _description(name: str, frames: Frames) -> pl.DataFrame:
    """Return one row per column of a table or view: its name, its declared type and its meaning.

    Raises:
        BadQuery: There is no table or view of that name.
    """
    if name not in frames:
        raise BadQuery(f"There is no table {name!r}", hint=f"{did_you_mean(name, frames)}SHOW TABLES lists them all")
    declared = {column.name: column for column in _declared_columns(name)}
    columns = [declared[column] for column in frames[name].collect_schema()]
    rows = [(column.name, column.type_name, column.meaning) for column in columns]
    return pl.DataFrame(rows, ["column", "type", "meaning"], orient="row")


def _declared_columns(name: str) -> tuple[Column, ...]:
    """Return the declared columns of a table, or of the metric that a view such as `ip_activity_week` shows."""
    declared = {EVENTS.name if name == LOGINS else name.rpartition(".")[2], name.rpartition("_")[0]}
    relations = (*READABLE.values(), *(metric.table for metric in METRICS))
    columns = next((each.columns for each in relations if each.name in declared), ())
    return (*columns, TEXT) if RAW_LOGS.name in declared else columns


def _frames(store: Store, snapshot: Snapshot, *, named: set[str]) -> Frames:
    """Return every table of a snapshot under its name, with and without its layer, and the views.

    raw_logs also has the column `TEXT`.
    `logins` has the accepted rows of silver.events with action `login`. Each metric has a view per window, such as
    `ip_activity_week`; a metric without a table also has the view of its default window under its own name. Only the
    tables and views whose name is among the words of the statement are opened; the others have their columns and no
    rows.

    Raises:
        SchemaDiffers: A table has an undeclared column, or one of another type.
    """
    unversioned = (RAW_LOGS, SNAPSHOTS, LABELS, *VIEWS.values())
    tables = [table for table in READABLE.values() if table in unversioned or table.full_name in snapshot.versions]
    frames = {table.full_name: _frame(table, store, snapshot=snapshot, named=named) for table in tables}
    frames[RAW_LOGS.full_name] = frames[RAW_LOGS.full_name].with_columns(
        pl.col("value").map_batches(_as_text, return_dtype=pl.String).alias(TEXT.name)
    )
    frames |= {table.name: frames[table.full_name] for table in tables}
    attempts = (Filter("verdict", ("accepted",)), Filter("action", ("login",)))
    logins = frames[EVENTS.full_name].filter(*(each.expression() for each in attempts))
    return {**frames, LOGINS: logins, **_metric_views(store, snapshot, named=named)}


def _as_text(values: pl.Series) -> pl.Series:
    """Return bytes as text; those that are not UTF-8 are replaced."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:  # at least one record is not UTF-8
        return values.map_elements(lambda value: value.decode(errors="replace"), return_dtype=pl.String)


def _metric_views(store: Store, snapshot: Snapshot, *, named: set[str]) -> Frames:
    views = {f"{metric.name}_{every}": (metric, every) for metric in METRICS for every in metric.every}
    views |= {metric.name: (metric, metric.default_every) for metric in METRICS if metric.stored is None}
    return {
        name: metric_frame(metric, store, every=every, snapshot=snapshot)
        if name in named
        else pl.LazyFrame(schema=declared_schema(metric.table))
        for name, (metric, every) in views.items()
        if source_of(metric, every).full_name in snapshot.versions
    }


def _frame(table: Table, store: Store, *, snapshot: Snapshot, named: set[str]) -> pl.LazyFrame:
    is_named = not named.isdisjoint({table.name, table.full_name}) or (table == EVENTS and LOGINS in named)
    return store.rows(table, snapshot) if is_named else pl.LazyFrame(schema=declared_schema(table))


def _refusal(reason: str, frames: Frames, *, statement: str) -> BadQuery:
    """Return the error for what polars refuses."""
    if unknown := UNKNOWN_COLUMN.match(reason):
        known = re.findall(r'"([^"]+)"', unknown["known"])
        name = unknown["name"]
        may_be_text = re.search(COMPARED_WITH.format(re.escape(name)), statement, re.IGNORECASE)
        text = "'" + name.replace("'", "''") + "'"
        as_text = f"If it is text, write it in single quotes: {text}. " if may_be_text else ""
        return BadQuery(f"There is no column {name!r}", hint=as_text + name_hint(name, known))
    if unknown := UNKNOWN_TABLE.match(reason):
        name = unknown["name"]
        return BadQuery(f"There is no table {name!r}", hint=f"{did_you_mean(name, frames)}SHOW TABLES lists them all")
    return BadQuery(f"The SQL can't be executed: {reason}", hint=_hint(reason, statement))


def _hint(reason: str, statement: str) -> str:
    reserved = sorted(bare_words(statement).intersection(RESERVED_COLUMNS))
    if reason.startswith(PARSER_ERROR) and reserved:
        quoted = ", ".join(f'"{name}"' for name in reserved)
        return f"Write a column that is a word of SQL in double quotes: {quoted}"
    if any(error in reason for error in BYTES_ERRORS):
        return BYTES_HINT
    return INSTANT_HINT if "dtype: Datetime" in reason else DIALECT_HINT
