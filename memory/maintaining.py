"""What memory does by itself every hour: digests, budgets, strengths, missing chunks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from django.db import connection

from memory import near
from memory.chunks import index_missing
from memory.consolidation import consolidate
from memory.retention import prune_all, refresh_strengths
from memory.seen import drop_old

log = structlog.get_logger(__name__)

_NAMESPACES = """
SELECT DISTINCT namespace FROM agentsys_memory_memory WHERE state IN ('live', 'cold') ORDER BY 1
"""


def maintain(
    *,
    rows_max: int | None = None,
    now: datetime | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Digests of what is over, rows over budget, strengths, chunks of what has none; how many of each.

    Safe at any time, twice and in parallel. What is left over is for the next time. A namespace that
    cannot be kept up is logged, counted as `failed`, and holds up no other.
    """
    kept = [_keep_up(name, rows_max, now) for name in _namespaces()]
    return {
        "digests": sum(one[0] for one in kept if one),
        "pruned": sum(one[1] for one in kept if one),
        "failed": kept.count(None),
        "seen_dropped": drop_old(now),
        "refreshed": refresh_strengths(now),
        "indexed": index_missing(tell=tell),
        "vector_indexes": sum(near.index_large().values()),
    }


def _keep_up(namespace: str, rows_max: int | None, now: datetime | None) -> tuple[int, int] | None:
    """How many digests were written and rows pruned; None where something went wrong."""
    try:
        digests = len(consolidate(namespace, until=now).written)
        return digests, prune_all(namespace, rows_max=rows_max, now=now)
    except Exception:
        log.exception("memory.namespace_not_kept_up", namespace=namespace)
        return None


def _namespaces() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_NAMESPACES)
        return [row[0] for row in cursor.fetchall()]
