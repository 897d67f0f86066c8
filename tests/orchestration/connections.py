"""A second connection to the tests' database, as another process would have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from tests.acceptance.workers import wait_for


@contextmanager
def another_connection(options: str = "") -> Iterator[psycopg.Connection[Any]]:
    names = connection.get_connection_params()
    with psycopg.connect(
        dbname=names["dbname"],
        host=names.get("host"),
        user=names.get("user"),
        options=options,
        autocommit=True,
    ) as other:
        backend = other.info.backend_pid
        yield other
    wait_for(lambda: not _is_there(backend))  # it lets go of its locks a little after it was left


def _is_there(backend: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # in a transaction activity is seen once
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [backend])
        return bool(cursor.fetchone()[0])
