"""What memory does by itself every hour: digests, budgets, strengths, missing chunks."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from memory.chunks import index_missing
from memory.consolidation import consolidate
from memory.retention import prune_all, refresh_strengths
from memory.seen import drop_old

_NAMESPACES = """
SELECT DISTINCT namespace FROM agentsys_memory_memory WHERE state IN ('live', 'cold') ORDER BY 1
"""


def maintain(*, rows_max: int | None = None, now: datetime | None = None) -> dict[str, int]:
    """Digests of what is over, rows over budget, strengths, chunks of what has none; how many of each.

    Safe at any time, twice and in parallel. What is left over is for the next time.
    """
    names = _namespaces()
    return {
        "digests": sum(len(consolidate(name, until=now).written) for name in names),
        "pruned": sum(prune_all(name, rows_max=rows_max, now=now) for name in names),
        "seen_dropped": drop_old(now),
        "refreshed": refresh_strengths(now),
        "indexed": index_missing(),
    }


def _namespaces() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_NAMESPACES)
        return [row[0] for row in cursor.fetchall()]
