"""Growth is bounded: what is weak goes when a namespace is over its budget, and only then.

Strength is exp(-age / S), the age counted from the last time it was of use, and S seven days,
longer for what is recalled often and for what matters. Never pruned: what is pinned, procedures,
and what is younger than a day. At most a tenth of the live rows goes in one pass, superseded
versions first; each leaves a tombstone. All of it may run at any time, twice and in parallel.
"""

from __future__ import annotations

from django.db import connection, transaction

from agentsys.kernel.errors import BadInput
from memory.chunks import index_missing
from memory.contracts import PruneReport
from memory.models import Memory
from memory.versions import bury

ROWS_MAX = 50_000  # live rows a namespace may hold
PASS_SHARE = 0.10  # of the live rows that one pass may prune
STRENGTH_STEP = 0.05  # stored strengths are refreshed when they are off by more
REFRESH_MAX = 20_000  # rows written by one refresh

_STRENGTH = """
exp(-extract(epoch FROM clock_timestamp() - GREATEST(occurred_at, last_access_at)) / 86400.0
    / (7.0 * (1 + access_count) * power(2, LEAST(GREATEST(importance - 1.0, -3.0), 3.0))))
"""

_WEAKEST = f"""
SELECT id, {_STRENGTH} AS now, valid_to IS NOT NULL AS old FROM agentsys_memory_memory
WHERE namespace = %s AND state = 'live' AND NOT pinned AND layer <> 'procedural'
  AND recorded_at < clock_timestamp() - interval '1 day'
ORDER BY old DESC, now, importance, occurred_at, id LIMIT %s
"""  # noqa: S608

_REFRESH = f"""
WITH due AS (
    SELECT id, now FROM (
        SELECT id, strength, LEAST({_STRENGTH}, 1.0) AS now
        FROM agentsys_memory_memory WHERE state = 'live'
    ) AS live
    WHERE abs(now - strength) > %s ORDER BY id LIMIT %s
), free AS (
    SELECT id FROM agentsys_memory_memory WHERE id IN (SELECT id FROM due)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE agentsys_memory_memory AS m SET strength = due.now
FROM due JOIN free USING (id) WHERE m.id = due.id
"""  # noqa: S608


def prune(namespace: str, *, rows_max: int = ROWS_MAX, dry_run: bool = False) -> PruneReport:
    """Forget the weakest rows of a namespace that holds more than `rows_max`.

    With `dry_run` nothing is changed and the report says what would go and why.
    """
    if rows_max < 0:
        raise BadInput(what="prune", problems=[f"rows_max is {rows_max}; expected 0 or more"])
    with transaction.atomic():
        live = Memory.objects.filter(namespace=namespace, state="live").count()
        over = min(live - rows_max, max(int(live * PASS_SHARE), 1))
        weakest = _weakest(namespace, over) if over > 0 else []
        if weakest and not dry_run:
            bury(
                [row_id for row_id, _ in weakest], by="prune", reason="over budget", event="pruned"
            )
    return PruneReport(namespace, live, tuple(weakest), dry_run)


def _weakest(namespace: str, count: int) -> list[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_WEAKEST, [namespace, count])
        rows = cursor.fetchall()
    return [
        (row_id, "superseded" if old else f"strength {strength:.4f}")
        for row_id, strength, old in rows
    ]


def maintain(*, rows_max: int = ROWS_MAX) -> dict[str, int]:
    """Prune every namespace that is over budget, refresh strengths, index what has no chunks.

    Returns how many rows each did. What is left over is for the next time.
    """
    crowded = _crowded(rows_max)
    return {
        "pruned": sum(len(prune(name, rows_max=rows_max).pruned) for name in crowded),
        "refreshed": _refresh(),
        "indexed": index_missing(),
    }


def _crowded(rows_max: int) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT namespace FROM agentsys_memory_memory WHERE state = 'live'"
            " GROUP BY namespace HAVING count(*) > %s ORDER BY namespace",
            [rows_max],
        )
        return [row[0] for row in cursor.fetchall()]


def _refresh() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_REFRESH, [STRENGTH_STEP, REFRESH_MAX])
        return int(cursor.rowcount)
