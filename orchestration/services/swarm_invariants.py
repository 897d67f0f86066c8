"""Invariants of `fsck` about swarms, and the one repair that is safe."""

from __future__ import annotations

from django.db import connection

from orchestration.services.invariants import Row
from orchestration.services.ledger import Book
from orchestration.services.swarms import ITEM, SHIFT

_IN = "(%(goal)s::bigint IS NULL OR s.goal_id = %(goal)s)"
_SWARM = "agentsys_orchestration_swarm"

_NO_SHIFT = f"""
SELECT s.goal_id, i.id, i.shift_id FROM {ITEM} i JOIN {_SWARM} s ON s.task_id = i.task_id
JOIN {SHIFT} w ON w.id = i.shift_id
WHERE i.state = 'leased' AND (w.ended_at IS NOT NULL OR w.task_id <> i.task_id) AND {_IN}
"""  # noqa: S608 - names of our own, here and below
_INCOMPLETE = f"""
SELECT s.goal_id, s.task_id, count(*) FROM {ITEM} i JOIN {_SWARM} s ON s.task_id = i.task_id
WHERE s.state = 'done' AND i.state IN ('open', 'leased', 'answered') AND {_IN}
GROUP BY s.goal_id, s.task_id
"""  # noqa: S608
_TWINLESS = f"""
SELECT s.goal_id, i.id, i.input_hash FROM {ITEM} i JOIN {_SWARM} s ON s.task_id = i.task_id
WHERE i.state = 'twin' AND {_IN} AND NOT EXISTS (
    SELECT 1 FROM {ITEM} o WHERE o.task_id = i.task_id AND o.input_hash = i.input_hash
    AND o.state <> 'twin')
"""  # noqa: S608
_WAITING = f"""
SELECT s.goal_id, s.task_id, t.state FROM {_SWARM} s
JOIN agentsys_orchestration_task t ON t.id = s.task_id
WHERE t.state IN ('ready', 'running', 'verifying') AND s.state <> 'done' AND {_IN}
"""  # noqa: S608


def _rows(statement: str, goal_id: int | None) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"goal": goal_id})
        return list(cursor.fetchall())


def leases_without_shift(goal_id: int | None) -> list[Row]:
    return _rows(_NO_SHIFT, goal_id)


def done_but_incomplete(goal_id: int | None) -> list[Row]:
    return _rows(_INCOMPLETE, goal_id)


def twins_without_item(goal_id: int | None) -> list[Row]:
    return _rows(_TWINLESS, goal_id)


def begun_before_its_swarm_was_done(goal_id: int | None) -> list[Row]:
    return _rows(_WAITING, goal_id)


def item_reopen(_: Book, item_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {ITEM} SET state = 'open', shift_id = NULL"  # noqa: S608
            " WHERE id = %s AND state = 'leased'",
            [item_id],
        )
