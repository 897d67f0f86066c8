"""How far a swarm is, exactly: counted from its items, never guessed; and when it may be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext

from orchestration.models import LedgerEntry, SwarmItem

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
# Seconds of work by all shifts: pauses are in none of them. How many are at it, and what they settled.
_PACE = """
SELECT COALESCE(sum(EXTRACT(EPOCH FROM COALESCE(w.ended_at, clock_timestamp()) - w.started_at)), 0)
           ::float8,
       count(*) FILTER (WHERE w.ended_at IS NULL)
FROM agentsys_orchestration_swarmshift w WHERE w.task_id = %s
"""
PACE_ITEMS_MIN = 20  # fewer tell nothing
ROWS_MAX = 50
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
    facts = {name: f"{number:,}" for name, number in seen.items() if isinstance(number, int)}
    parts = [
        gettext(
            "%(accepted)s of %(items)s items are accepted (%(passed)s looked at, %(unsampled)s unsampled)"
        )
        if seen["unsampled"]
        else gettext("%(accepted)s of %(items)s items are accepted")
    ]
    if seen["leased"]:
        parts.append(gettext("%(leased)s under way with %(workers)s workers"))
    if seen["answered"]:
        parts.append(gettext("%(answered)s answered and to be inspected"))
    if seen["open"]:
        parts.append(gettext("%(open)s open"))
    if seen["failed"]:
        parts.append(gettext("%(failed)s failed"))
    return ", ".join(part % facts for part in parts)


@dataclass(frozen=True, slots=True)
class SwarmPage:
    """What a person looks at. `failures` and `sample` are the first `ROWS_MAX`; `inspections` are
    the ledger's entries, the latest first. `eta_seconds` None: nobody is at work, or it is too early
    to tell."""

    seen: dict[str, Any]
    sentence: str
    eta_seconds: float | None
    failures: list[dict[str, Any]]
    sample: list[dict[str, Any]]
    inspections: list[dict[str, Any]]


def swarm_page(task_id: int) -> SwarmPage | None:
    """None when the task has no swarm, or none yet."""
    seen = swarms_progress([task_id]).get(task_id)
    if seen is None:
        return None
    return SwarmPage(
        seen=seen,
        sentence=swarm_sentence(seen),
        eta_seconds=_eta(task_id, seen),
        failures=_rows(task_id, state="failed"),
        sample=_rows(task_id, state="accepted", verdict="passed") if seen["unsampled"] else [],
        inspections=_inspections(task_id),
    )


def _eta(task_id: int, seen: dict[str, Any]) -> float | None:
    """What is left, at the pace so far: seconds of a shift for each item that a shift has run."""
    left = seen["open"] + seen["leased"]
    ran = seen["items"] - left
    if seen["state"] != "mapping" or not left or ran < PACE_ITEMS_MIN:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_PACE, [task_id])
        worked, now = cursor.fetchone()
    return round(worked / ran * left / now, 1) if now else None


def _rows(task_id: int, **which: str) -> list[dict[str, Any]]:
    rows = SwarmItem.objects.filter(task_id=task_id, **which).order_by("path")[:ROWS_MAX]
    fields = ("path", "input", "output", "verdict", "reason", "attempts")
    return [{**row, "path": ".".join(map(str, row["path"]))} for row in rows.values(*fields)]


def _inspections(task_id: int) -> list[dict[str, Any]]:
    entries = LedgerEntry.objects.filter(task_id=task_id, event="swarm.inspected").order_by("-seq")
    found = []
    for at, payload in entries.values_list("at", "payload")[:ROWS_MAX]:
        accepted = sum(last - first + 1 for first, last in payload.get("accepted", ()))
        found.append(
            {
                "at": at,
                "sampled": payload["sampled"],
                "defects": payload["defects"],
                "accepted": accepted,
            }
        )
    return found
