"""What is wrong with a namespace: figures and ids, and nothing is changed."""

from __future__ import annotations

from django.db import connection

from memory.chunks import current_embedder
from memory.contracts import Audit, Finding
from memory.domain.sameness import gist, near_duplicates

IDS_MAX = 1_000  # of one finding

_LIVE = """
SELECT id, text FROM agentsys_memory_memory
WHERE namespace = %s AND state = 'live' AND level = 0 AND valid_to IS NULL ORDER BY occurred_at, id
"""

# Each gives ids. A loop: a text written by a run that had been shown a text of the same hash before.
_QUERIES = {
    "recall loops": """
        SELECT DISTINCT m.id FROM agentsys_memory_memory AS m
        JOIN agentsys_memory_seen AS s ON s.run = m.batch AND s.at <= m.recorded_at
        JOIN agentsys_memory_memory AS o ON o.id = s.memory_id AND o.id <> m.id
        WHERE m.namespace = %(ns)s AND m.state = 'live' AND m.batch <> ''
          AND lower(regexp_replace(m.text, '\\W+', ' ', 'g'))
            = lower(regexp_replace(o.text, '\\W+', ' ', 'g'))
        ORDER BY 1""",
    "stale: superseded and live": """
        SELECT id FROM agentsys_memory_memory
        WHERE namespace = %(ns)s AND state = 'live' AND valid_to IS NOT NULL ORDER BY 1""",
    "orphans: their digest is gone": """
        SELECT m.id FROM agentsys_memory_memory AS m JOIN agentsys_memory_memory AS d ON d.id = m.parent_id
        WHERE m.namespace = %(ns)s AND m.state = 'cold' AND d.state = 'gone' AND d.parent_id IS NULL
        ORDER BY 1""",
    "orphans: cold, in no digest": """
        SELECT id FROM agentsys_memory_memory
        WHERE namespace = %(ns)s AND state = 'cold' AND level = 0 AND layer = 'episodic'
          AND parent_id IS NULL AND valid_to IS NULL ORDER BY 1""",
    "orphans: closed, and no newer version": """
        SELECT m.id FROM agentsys_memory_memory AS m
        WHERE m.namespace = %(ns)s AND m.state = 'live' AND m.valid_to IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM agentsys_memory_memory AS n WHERE n.supersedes_id = m.id)
          AND NOT EXISTS (  -- a text that stood already, and is the newer version of another
              SELECT 1 FROM agentsys_memory_memoryevent AS e
              JOIN agentsys_memory_memory AS n ON n.id = e.other_id AND n.state <> 'gone'
              WHERE e.memory_id = m.id AND e.event = 'superseded')
        ORDER BY 1""",
    "not indexed": """
        SELECT m.id FROM agentsys_memory_memory AS m
        WHERE m.namespace = %(ns)s AND m.state = 'live' AND NOT EXISTS (
            SELECT 1 FROM agentsys_memory_chunk AS c
            WHERE c.namespace = m.namespace AND c.memory_id = m.id AND c.n = 0 AND c.embed_model = %(model)s)
        ORDER BY 1""",
}


def audit(namespace: str) -> Audit:
    """Findings of a namespace. `junk` is the share of live rows that are exact or near duplicates of an
    earlier one, or recall loops."""
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, [namespace])
        rows = cursor.fetchall()
    exact, seen = set(), set()
    for row_id, text in rows:
        said = gist(text) or (text,)
        if said in seen:
            exact.add(row_id)
        seen.add(said)
    near = set(near_duplicates(rows)) - exact
    found = {"exact duplicates": sorted(exact), "near duplicates": sorted(near)}
    with connection.cursor() as cursor:
        for what, query in _QUERIES.items():
            cursor.execute(query, {"ns": namespace, "model": current_embedder().name})
            found[what] = [row[0] for row in cursor.fetchall()]
    live = len(rows)
    junk = len({*exact, *near, *found["recall loops"]})
    return Audit(
        namespace,
        live,
        junk / live if live else 0.0,
        tuple(
            Finding(what, len(ids), len(ids) / live if live else 0.0, tuple(ids[:IDS_MAX]))
            for what, ids in found.items()
        ),
    )
