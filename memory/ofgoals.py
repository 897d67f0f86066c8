"""What goals and memory have to do with one another: what runs were told, and what a goal left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from memory.models import Memory

_SHOWN = """
SELECT m.id, m.layer, m.kind, m.text, m.trust, m.state, m.valid_to, m.pinned, min(s.at) AS first_at,
       array_agg(s.run ORDER BY s.run) AS runs
FROM agentsys_memory_seen AS s JOIN agentsys_memory_memory AS m ON m.id = s.memory_id
WHERE s.run = ANY(%s) GROUP BY m.id ORDER BY count(*) DESC, m.id LIMIT %s
"""
_FIELDS = ("id", "layer", "kind", "text", "trust", "state", "valid_to", "pinned")


def shown_to(runs: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Memories that these runs, such as attempt-12, were told, those that most were told first. Which
    run was told what is kept for some days (`memory.seen`); what is gone by now has no text."""
    if not runs:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_SHOWN, [list(runs), limit])
        return [dict(zip((*_FIELDS, "at", "runs"), row, strict=True)) for row in cursor.fetchall()]


def left_by(goal_id: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
    """How many memories a goal left behind, and the latest of them."""
    rows = Memory.objects.filter(goal_id=goal_id).exclude(state="gone").order_by("-pk")
    return rows.count(), [dict(row) for row in rows.values(*_FIELDS, "recorded_at")[:limit]]
