"""How far a goal is, how fast it goes, and when it may be done. Never a made-up percentage."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from orchestration.models import Attempt, Task

SAMPLES_MIN = 5
STATES = ("blocked", "ready", "running", "verifying", "held", "done", "failed", "cancelled")

_PACE = """
SELECT count(*) FILTER (WHERE finished_at IS NOT NULL),
       EXTRACT(EPOCH FROM max(finished_at) - min(started_at)),
       EXTRACT(EPOCH FROM clock_timestamp() - min(started_at))
FROM agentsys_orchestration_task
WHERE goal_id = %s AND state IN ('done', 'failed') AND started_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of tasks by state; `rate_per_minute` and `eta_seconds` are None until five tasks
    have finished ("learning")."""

    total: int
    done: int
    failed: int
    running: int
    waiting: int  # held for a person
    verifying: int
    ready: int
    blocked: int
    cancelled: int
    fraction: float
    rate_per_minute: float | None
    eta_seconds: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def progress_of(goal_id: int, *, finished_at: datetime | None = None) -> Progress:
    """Counted from the rows of every task that is not superseded."""
    counts = dict.fromkeys(STATES, 0)
    rows = Task.objects.filter(goal_id=goal_id).exclude(state="superseded").order_by()
    for state in rows.values_list("state", flat=True):
        counts[state] += 1
    total = sum(counts.values())
    ended = counts["done"] + counts["failed"] + counts["cancelled"]
    rate = _rate(goal_id, running=finished_at is None)
    left = total - ended - counts["held"]
    return Progress(
        total=total,
        done=counts["done"],
        failed=counts["failed"],
        running=counts["running"],
        waiting=counts["held"],
        verifying=counts["verifying"],
        ready=counts["ready"],
        blocked=counts["blocked"],
        cancelled=counts["cancelled"],
        fraction=round(ended / total, 4) if total else 0.0,
        rate_per_minute=round(rate * 60, 2) if rate else None,
        eta_seconds=round(left / rate, 1) if rate and finished_at is None and left else None,
    )


def _rate(goal_id: int, *, running: bool) -> float | None:
    """Tasks per second since the first one started."""
    with connection.cursor() as cursor:
        cursor.execute(_PACE, [goal_id])
        count, span, since = cursor.fetchone()
    seconds = since if running else span
    if count < SAMPLES_MIN or not seconds:
        return None
    return float(count) / float(seconds)


def running_now(goal_id: int, limit: int = 20) -> list[dict[str, Any]]:
    """What is being worked on, with its latest note."""
    rows = Attempt.objects.filter(goal_id=goal_id, state="running").order_by("started_at")
    return list(
        rows.values("task__key", "task__agent", "note", "progress", "started_at", "number")[:limit]
    )
