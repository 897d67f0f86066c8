"""How far a swarm is, exactly: counted from its items, never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

_COUNTS = """
SELECT task_id, state, verdict, count(*) FROM agentsys_orchestration_swarmitem
WHERE task_id = ANY(%s) GROUP BY task_id, state, verdict
"""
_TWINS = """
SELECT i.task_id, o.state, o.verdict, count(*) FROM agentsys_orchestration_swarmitem i
JOIN agentsys_orchestration_swarmitem o
  ON o.task_id = i.task_id AND o.input_hash = i.input_hash AND o.state <> 'twin'
WHERE i.task_id = ANY(%s) AND i.state = 'twin' GROUP BY i.task_id, o.state, o.verdict
"""
_MORE = """
SELECT s.task_id, s.state, s.inspect, s.spawned, (
    SELECT count(*) FROM agentsys_orchestration_swarmshift w
    WHERE w.task_id = s.task_id AND w.ended_at IS NULL)
FROM agentsys_orchestration_swarm s WHERE s.task_id = ANY(%s)
"""
STATES = ("open", "leased", "answered", "accepted", "failed")
JUDGED = ("passed", "unsampled")  # what accepted items are: looked at, or taken with their lot


def swarms_progress(task_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """By task: items by state (a twin counts with the item whose output it has), how many of the
    accepted were looked at by verifiers, twins, spawned ones, and how many workers have a shift
    there. Tasks that have no swarm yet are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_MORE, [list(task_ids)])
        found: dict[int, dict[str, Any]] = {
            row[0]: {
                "state": row[1],
                "inspect": row[2],
                "items": 0,
                **dict.fromkeys((*STATES, *JUDGED), 0),
                "twins": 0,
                "spawned": row[3],
                "workers": row[4],
            }
            for row in cursor.fetchall()
        }
        if not found:
            return {}
        cursor.execute(_COUNTS, [sorted(found)])
        for task_id, state, verdict, count in cursor.fetchall():
            _add(found[task_id], "twins" if state == "twin" else state, verdict, count)
            found[task_id]["items"] += count
        with_twins = sorted(task_id for task_id, one in found.items() if one["twins"])
        if with_twins:
            for task_id, state, verdict, count in _twins(with_twins):
                _add(found[task_id], state, verdict, count)
    return found


def _add(seen: dict[str, Any], state: str, verdict: str, count: int) -> None:
    seen[state] += count
    if state == "accepted" and verdict:
        seen[verdict] += count


def _twins(task_ids: Sequence[int]) -> list[tuple[int, str, str, int]]:
    """Joining row by row, to which stale statistics tempt the planner, would take minutes."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(_TWINS, [list(task_ids)])
        rows = list(cursor.fetchall())
        cursor.execute("SET LOCAL enable_nestloop = on")
        return rows


def swarm_sentence(seen: dict[str, Any]) -> str:
    """`412 of 10,000 items are accepted, 500 under way with 2 workers, 3 failed`; of a lot that was
    accepted by its sample `10,000 of 10,000 items are accepted (100 looked at, 9,900 unsampled)`."""
    parts = [f"{seen['accepted']:,} of {seen['items']:,} items are accepted"]
    if seen["unsampled"]:
        parts[0] += f" ({seen['passed']:,} looked at, {seen['unsampled']:,} unsampled)"
    if seen["leased"]:
        parts.append(f"{seen['leased']:,} under way with {seen['workers']} workers")
    if seen["answered"]:
        parts.append(f"{seen['answered']:,} to be inspected")
    if seen["open"]:
        parts.append(f"{seen['open']:,} open")
    if seen["failed"]:
        parts.append(f"{seen['failed']:,} failed")
    return ", ".join(parts)
