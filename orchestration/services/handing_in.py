"""Attempts that no worker makes: a person's output, or work that is carried over from elsewhere.

The tasks are ready with a queued attempt each. It is claimed under the next fence and reported in
one step, as the ledger says too, so that every rule about claims and fences holds for it; the
caller has it accepted in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection

from orchestration.services.ledger import Book

_TAKE = """
WITH taken AS (
    UPDATE agentsys_orchestration_task t
    SET state = 'running', fence = t.fence + 1, due_at = NULL, reason = '',
        started_at = COALESCE(t.started_at, %(now)s)
    FROM agentsys_orchestration_attempt a
    WHERE t.id = ANY(%(tasks)s) AND t.state = 'ready' AND a.task_id = t.id AND a.state = 'queued'
    RETURNING t.id, t.fence, a.id AS attempt_id
)
UPDATE agentsys_orchestration_attempt a
SET state = 'reported', fence = taken.fence, publish_due_at = NULL, note = %(note)s,
    started_at = %(now)s, reported_at = %(now)s
FROM taken WHERE a.id = taken.attempt_id
RETURNING taken.id, a.id, a.fence
"""


class Taken(NamedTuple):
    task_id: int
    attempt_id: int
    fence: int


def attempts_take(book: Book, task_ids: Sequence[int], *, actor: str, note: str) -> list[Taken]:
    """Claim the queued attempts of these ready tasks for `actor`, to be accepted at once."""
    if not task_ids:
        return []
    values: dict[str, Any] = {"tasks": list(task_ids), "now": book.now, "note": note[:300]}
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, values)
        taken = sorted(Taken._make(row) for row in cursor.fetchall())
    book.record("tasks.claimed", actor=actor, payload={"claims": [list(one) for one in taken]})
    return taken
