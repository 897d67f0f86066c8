"""System checks: the embedder can be loaded, the server has pgvector. Neither loads a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections

from agentsys.gateway import embeddings
from memory.extension import WAY_OUT, vector_problem


@register()
def embedder_loadable(**_kwargs: Any) -> list[CheckMessage]:
    problem = embeddings.problem(settings.AGENTSYS.embedder)
    return [Error(f"The embedder cannot be loaded: {problem}", id="memory.E001")] if problem else []


@register(Tags.database)
def vector_present(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Runs with `check --database default` and before `migrate`, whose first migration makes the
    extension; so one that is merely available is enough."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor != "postgresql":
            found.append(Error("PostgreSQL is needed", hint=WAY_OUT, id="memory.E003"))
            continue
        try:
            problem = vector_problem(connection)
        except DatabaseError:
            continue  # that the database cannot be reached is said by whoever needs it next
        if problem:
            found.append(Error(f"{problem} ({alias})", hint=WAY_OUT, id="memory.E002"))
    return found
