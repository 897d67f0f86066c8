"""A second connection to the tests' database, as another process would have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


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
        yield other
