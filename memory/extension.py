"""The `vector` extension of PostgreSQL: made by the first migration, looked for by the check."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import CreateExtension
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from agentsys.kernel.errors import ServiceAway

VERSION_MIN = (0, 7)  # the first with halfvec
WAY_OUT = (
    "Install pgvector 0.7 or newer on the server (package postgresql-NN-pgvector) and run, as a "
    "superuser in this database: CREATE EXTENSION vector; or unset DATABASE_URL to use the "
    "embedded server, which has it"
)


class EnsureVector(CreateExtension):
    """CREATE EXTENSION vector; where that is refused, one sentence with the way out."""

    def __init__(self) -> None:
        super().__init__("vector")

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        try:
            super().database_forwards(app_label, schema_editor, *states)
        except DatabaseError as error:
            reason = str(error).strip().splitlines()[0]
            raise _away(schema_editor.connection, reason) from error
        if reason := vector_problem(schema_editor.connection):
            raise _away(schema_editor.connection, reason)


def vector_problem(connection: BaseDatabaseWrapper) -> str:
    """What is wrong with the server's pgvector, or an empty string. Before the first migration it
    is enough that the extension can be made."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COALESCE(installed_version, default_version) FROM pg_available_extensions"
            " WHERE name = 'vector'"
        )
        row = cursor.fetchone()
    if row is None:
        return "the extension vector (pgvector) is not installed on the server"
    version = tuple(int(part) for part in row[0].split(".")[:2])
    return f"pgvector is {row[0]}, at least 0.7 is needed" if version < VERSION_MIN else ""


def _away(connection: BaseDatabaseWrapper, reason: str) -> ServiceAway:
    where = connection.settings_dict.get("NAME")
    return ServiceAway(service="PostgreSQL", where=where, reason=reason, way_out=WAY_OUT)
