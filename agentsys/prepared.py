"""Statements that run thousands of times a second: prepared on the server, on Django's connection.

Django binds parameters on the client, so that PostgreSQL parses and plans each statement anew;
for the few statements of the hot path that is most of their time. Sets of rows go in as one JSON
parameter (`jsonb_to_recordset`), which is far cheaper to write than arrays.

They run in the connection's transaction like any other statement and raise Django's database
errors, but they are not seen by `execute_wrapper` or `connection.queries`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


def fetch(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The statement's rows; [] when it returns none. jsonb comes as text."""
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, values, prepare=True)
        result = cursor.pgresult  # `description` would make an object for each column
        return cursor.fetchall() if result is not None and result.nfields else []
