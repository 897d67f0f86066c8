"""The history of memories: what happened to each after it was written. It is only ever appended to.

That a memory was written is its row. Everything else is an event: superseded, merged, pinned,
quarantined, released, pruned, forgotten, rolled back … Notes on a blackboard have none: their
versions are in their rows, and go with the goal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from agentsys.kernel.hashing import plain
from memory.models import MemoryEvent

_APPEND = """
INSERT INTO agentsys_memory_memoryevent (namespace, memory_id, event, actor, reason, other_id, batch)
SELECT namespace, id, %s, %s, %s, %s, batch FROM agentsys_memory_memory
WHERE id = ANY(%s) AND layer <> 'working' ORDER BY id
"""


def happened(
    ids: Sequence[int], event: str, *, by: str = "", reason: str = "", other: int | None = None
) -> None:
    """Append `event` for each of `ids`, in the transaction of what it tells of."""
    if ids:
        said = str(plain(reason))[:500]
        with connection.cursor() as cursor:
            cursor.execute(_APPEND, [event, str(plain(by))[:150], said, other, list(ids)])


def happenings_of(ids: Sequence[int]) -> list[dict[str, Any]]:
    """What happened to `ids`, oldest first."""
    fields = ("memory_id", "event", "actor", "reason", "other_id", "at")
    return list(
        MemoryEvent.objects.filter(memory_id__in=list(ids)).order_by("at", "pk").values(*fields)
    )
