"""The text of a SQL statement: whether it only reads, which words it has, and the instant that `now()` stands for."""

from __future__ import annotations

import re
from datetime import datetime

from lakehouse.errors import BadQuery

# In this order: literals, quoted names and comments, in which no other token begins, then words, spaces and the rest.
TOKEN = re.compile(
    r"""(?P<literal>'(?:[^']|'')*'?)
    | (?P<quoted>"(?:[^"]|"")*"?)
    | (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<word>\w+)
    | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
READING_WORDS = ("select", "with", "from", "values", "show", "explain")
READS_ONLY = "The lake can only be read: write a SELECT, WITH … SELECT, SHOW TABLES or DESCRIBE TABLE"
DESCRIBE = re.compile(r"\s*(?:describe|desc)\s+(?P<name>[\w.\"]+)\s*", re.IGNORECASE)
NOW_CALL = re.compile(r"\bnow\s*\(\s*\)", re.IGNORECASE)
CURRENT_TIMESTAMP = "current_timestamp"

Token = tuple[str, str]  # kind and text


def bare_words(statement: str) -> set[str]:
    """Return the words of a statement that are not quoted, in lower case."""
    return {text.lower() for kind, text in _tokens(statement) if kind == "word"}


def words_of(statement: str) -> set[str]:
    """Return the words and quoted names of a statement in lower case; the tables that it reads are among them."""
    return {text.strip('"').lower() for kind, text in _tokens(statement) if kind in ("word", "quoted")}


def described_name(statement: str) -> str | None:
    """Return the table or view of a DESCRIBE statement; None if it is another statement."""
    match = DESCRIBE.fullmatch(statement)
    return match["name"].replace('"', "").lower() if match else None


def check_reads_only(statement: str) -> None:
    """Raise unless the statement is a read; polars would answer a DELETE with an empty result.

    Raises:
        BadQuery: The statement starts with another word than a read does, or shows something else than tables.
    """
    words = [text.lower() for kind, text in _tokens(statement) if kind not in ("space", "other")]
    first = next((word for word in words if word != "explain"), "")
    if first not in READING_WORDS:
        what = f"{first.upper()} is not a read" if first.isalpha() else "The statement does not start with a word"
        raise BadQuery(what, hint=READS_ONLY)
    if first == "show" and words[1:2] != ["tables"]:
        raise BadQuery(f"{' '.join(words).upper()} is not known", hint="Use SHOW TABLES or DESCRIBE TABLE")


def with_instant(statement: str, now: datetime) -> str:
    """Return the statement with `now()` and `current_timestamp` as an instant in UTC.

    In polars they are instants without a zone, which can't be compared with those of the tables.
    """
    literal = f"('{now.isoformat()}'::timestamptz)"
    pieces: list[str] = []
    unquoted = ""
    for kind, text in (*_tokens(statement), ("literal", "")):
        if kind in ("literal", "quoted"):
            pieces += [NOW_CALL.sub(literal, unquoted), text]
            unquoted = ""
        else:
            unquoted += literal if text.lower() == CURRENT_TIMESTAMP else text
    return "".join(pieces)


def ends_statement(text: str) -> bool:
    """Return whether the text ends with a semicolon that is outside of literals, quoted names and comments."""
    tokens = [token for token in _tokens(text) if token[0] != "space"]
    return bool(tokens) and tokens[-1] == ("other", ";")


def _tokens(statement: str) -> list[Token]:
    return [(str(match.lastgroup), match[0]) for match in TOKEN.finditer(statement)]
