"""Statements that run thousands of times a second: prepared on the server, on Django's connection.

Django binds parameters on the client, so that PostgreSQL parses and plans each statement anew;
for the few statements of the hot path that is most of their time. Sets of rows go in as one JSON
parameter (`jsonb_to_recordset`), which is far cheaper to write than arrays.

They run in the connection's transaction like any other statement and raise Django's database
errors, but they are not seen by `execute_wrapper` or `connection.queries`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections

Rows = list[tuple[Any, ...]]
_NAME = re.compile(r"%\((\w+)\)s")


def fetch(
    statement: str, values: Mapping[str, Any], *, binary: bool = False, keep: bool | None = True
) -> Rows:
    """The statement's rows; [] when it returns none. jsonb comes as text.

    `statement` has `%(name)s` where a value goes, as psycopg has it, and no other `%`. `binary`: numbers
    come as PostgreSQL has them, which is faster for hundreds of rows; not for jsonb. `keep`: prepared at
    once, after it came five times (None), or never. A connection keeps the hundred that were used last,
    each for the types of values that it was given, until a rollback.
    """
    return send(statement, values, binary=binary, keep=keep)()


def send(
    statement: str, values: Mapping[str, Any], *, binary: bool = False, keep: bool | None = True
) -> Callable[[], Rows]:
    """As `fetch`, but what it gives waits for the rows when it is called: within `on_the_way` they are
    still to come. What is on the way is asked for its rows only if it returns some."""
    here = connections[DEFAULT_DB_ALIAS]  # the proxy `connection` looks for it at each attribute
    here.ensure_connection()
    here.validate_no_broken_transaction()
    numbered, names = _numbered(statement)
    with here.wrap_database_errors:
        cursor = psycopg.RawCursor(here.connection)
        cursor.execute(numbered, [values[name] for name in names], prepare=keep, binary=binary)

    def rows() -> Rows:
        with here.wrap_database_errors:
            result = cursor.pgresult  # `description` would make an object for each column
            return cursor.fetchall() if result is None or result.nfields else []

    return rows


@contextmanager
def on_the_way() -> Iterator[None]:
    """What is sent goes to PostgreSQL without waiting for its rows (libpq's pipeline mode): it works at one
    statement after another while something else is done here. At the end all are through. After one that
    fails nothing works until then, not even going back to a savepoint; cursors of the server do not work."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


@lru_cache(maxsize=1024)  # recall has one for each partition and filter
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with `$1`, `$2` … as PostgreSQL has it, and the names in that order. psycopg
    would look for them each time, for it remembers no statement of more than 4,096 characters."""
    names = tuple(dict.fromkeys(_NAME.findall(statement)))
    number = {name: f"${n}" for n, name in enumerate(names, 1)}
    return _NAME.sub(lambda found: number[found[1]], statement).encode(), names
