"""What a test with transactions of its own wrote goes row by row.

Django truncates every table and makes content types and permissions anew, which takes some 0.2 s; most tests
take less. Here a table without rows costs nothing. The roles of PostgreSQL's triggers and references are set
aside for it, since the ledger lets nobody delete.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

KEPT = frozenset(
    {"django_content_type", "auth_permission"}
)  # made with the database, told by nobody


def emptied(_test_case: Any) -> None:
    """In place of `TransactionTestCase._fixture_teardown`."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    deletes = [f"DELETE FROM {connection.ops.quote_name(n)}" for n in names if n not in KEPT]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("; ".join(["SET LOCAL session_replication_role = replica", *deletes]))
