"""How far a goal is, how fast it goes, and when it may be done. Never a made-up percentage.

The estimate: what is left to do, in seconds of work, divided by how much work was done at once so
far. A task that has not been tried costs what its agent's accepted attempts took on average (all
agents' together when that one has none yet); a running one costs what is left of that. Tasks that
wait for a person are not counted: nobody knows how long a person takes. Time is the database's,
and the time a goal was paused is not held against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from orchestration.models import Attempt

SAMPLES_MIN = 5
STATES = ("blocked", "ready", "running", "verifying", "held", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")

_COUNTS = """
SELECT state, agent, count(*) FROM agentsys_orchestration_task
WHERE goal_id = %s AND state <> 'superseded' GROUP BY state, agent
"""

# Seconds of work by agent: done (number, sum) and under way (number, sum). Attempts, not tasks:
# a task's own time includes waiting for verdicts, people and backoff.
_WORK = """
SELECT t.agent,
       count(*) FILTER (WHERE a.state = 'accepted'),
       COALESCE(sum(EXTRACT(EPOCH FROM COALESCE(a.reported_at, a.finished_at) - a.started_at))
                FILTER (WHERE a.state = 'accepted'), 0),
       COALESCE(sum(EXTRACT(EPOCH FROM clock_timestamp() - a.started_at))
                FILTER (WHERE a.state = 'running'), 0)
FROM agentsys_orchestration_attempt a JOIN agentsys_orchestration_task t ON t.id = a.task_id
WHERE a.goal_id = %s AND a.started_at IS NOT NULL GROUP BY t.agent
"""

_SPAN = """
SELECT GREATEST(EXTRACT(EPOCH FROM COALESCE(g.finished_at, g.paused_at, clock_timestamp())
                        - (SELECT min(started_at) FROM agentsys_orchestration_task
                           WHERE goal_id = g.id)) - g.paused_seconds, 0)
FROM agentsys_orchestration_goal g WHERE g.id = %s
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of tasks by state. `rate_per_minute` and `eta_seconds` are None while learning: until
    five tasks have been accepted, and the estimate also when nothing is left that moves."""

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


@dataclass(frozen=True, slots=True)
class Pace:
    """Work done so far: `mean` seconds by agent ("" is all of them), and how much of it at once."""

    samples: int
    mean: Mapping[str, float]
    under_way: Mapping[str, float]  # seconds already spent on attempts that are running
    concurrency: float

    def seconds_of(self, agent: str) -> float:
        return self.mean.get(agent, self.mean[""])


def progress_of(goal_id: int, *, finished_at: datetime | None = None) -> Progress:
    """Counted from the rows of every task that is not superseded."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [goal_id])
        rows: list[tuple[str, str, int]] = cursor.fetchall()
        cursor.execute(_SPAN, [goal_id])
        (found,) = cursor.fetchone() or (None,)
    counts = dict.fromkeys(STATES, 0)
    for state, _, number in rows:
        counts[state] += number
    total = sum(counts.values())
    ended = sum(counts[state] for state in ENDED)
    span = float(found or 0)
    known = counts["done"] >= SAMPLES_MIN and span > 0
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
        rate_per_minute=round(60 * counts["done"] / span, 2) if known else None,
        eta_seconds=_eta(goal_id, rows, span) if known and finished_at is None else None,
    )


def _eta(goal_id: int, rows: Sequence[tuple[str, str, int]], span: float) -> float | None:
    pace = pace_of(goal_id, span)
    return eta_of(pace, rows) if pace.samples >= SAMPLES_MIN else None


def pace_of(goal_id: int, span: float) -> Pace:
    with connection.cursor() as cursor:
        cursor.execute(_WORK, [goal_id])
        rows = [(agent, n, float(done), float(now)) for agent, n, done, now in cursor.fetchall()]
    samples, seconds = sum(r[1] for r in rows), sum(r[2] for r in rows)
    under_way = {agent: now for agent, _, _, now in rows if now}
    mean = {agent: done / n for agent, n, done, _ in rows if n}
    busy = (seconds + sum(under_way.values())) / span
    return Pace(
        samples=samples,
        mean={"": seconds / samples if samples else 0.0, **mean},
        under_way=under_way,
        concurrency=max(busy, 1e-6),
    )


def eta_of(pace: Pace, rows: Sequence[tuple[str, str, int]]) -> float | None:
    """Seconds until `rows` (state, agent, number) are through; None when nothing of them moves."""
    left = 0.0
    moving = 0
    for state, agent, number in rows:
        if state in (*ENDED, "held", "verifying"):
            continue
        moving += number
        left += number * pace.seconds_of(agent)
        if state == "running":
            left -= min(pace.under_way.get(agent, 0.0), number * pace.seconds_of(agent))
    return round(left / pace.concurrency, 1) if moving else None


def running_now(goal_id: int, limit: int = 20) -> list[dict[str, Any]]:
    """What is being worked on, with its latest note."""
    rows = Attempt.objects.filter(goal_id=goal_id, state="running").order_by("started_at")
    fields = ("task__key", "task__agent", "note", "progress", "started_at", "number")
    return [dict(row) for row in rows.values(*fields)[:limit]]
