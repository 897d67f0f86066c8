"""How much memory holds, by namespace, layer, state and level, and which models its vectors are of.

Bytes are those of the rows and of what search keeps of them, as PostgreSQL stores them; indexes and
dead rows come on top, and are of no one namespace.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from memory.chunks import current_embedder

_SIZES = """
WITH chunk AS (
    SELECT memory_id, sum(pg_column_size(c.*)) AS bytes FROM agentsys_memory_chunk AS c
    WHERE %(namespace)s::text IS NULL OR namespace = %(namespace)s GROUP BY memory_id
)
SELECT m.namespace, m.layer, m.state, m.level, count(*) AS rows,
       sum(pg_column_size(m.*) + COALESCE(chunk.bytes, 0))::bigint AS bytes
FROM agentsys_memory_memory AS m LEFT JOIN chunk ON chunk.memory_id = m.id
WHERE %(namespace)s::text IS NULL OR m.namespace = %(namespace)s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""

_MODELS = """
SELECT embed_model, count(*) FROM agentsys_memory_chunk
WHERE n = 0 AND (%(namespace)s::text IS NULL OR namespace = %(namespace)s) GROUP BY 1 ORDER BY 1
"""


def sizes(namespace: str | None = None) -> list[dict[str, Any]]:
    """Rows and bytes: a line for each namespace, layer, state and level that there is."""
    columns = ("namespace", "layer", "state", "level", "rows", "bytes")
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, {"namespace": namespace})
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def models_of(namespace: str | None = None) -> dict[str, int]:
    """Memories by the model of their vector; "" for those that wait for one."""
    with connection.cursor() as cursor:
        cursor.execute(_MODELS, {"namespace": namespace})
        return dict(cursor.fetchall())


def figures(namespace: str | None = None, *, rows_max: int) -> dict[str, Any]:
    """Sizes, each namespace's share of its budget of live rows, and rows of other models."""
    found = sizes(namespace)
    live: dict[str, int] = {}
    for row in found:
        live[row["namespace"]] = live.get(row["namespace"], 0) + row["rows"] * (
            row["state"] == "live"
        )
    model = current_embedder().name
    return {
        "bytes": sum(row["bytes"] for row in found),
        "by": found,
        "budget_share": {name: round(rows / rows_max, 4) for name, rows in live.items()},
        "model": model,
        "other_models": {k: n for k, n in models_of(namespace).items() if k != model},
    }
