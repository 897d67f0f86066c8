"""Who works, on what, and what waits for somebody to: read from the rows, which are the truth.

Whether a worker lives is told by its session's advisory lock. What waits is counted from the rows
that are the outbox; the broker's messages are only doorbells for them, counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from agentsys.celery import QUEUES
from agentsys.doorbells import doorbells
from orchestration.models import Attempt, WorkerSession
from orchestration.models.swarms import SwarmShift
from orchestration.services.reads import iso
from orchestration.services.sessions import sessions_alive

WORKERS_MAX = 200
RUNNING_MAX = 500
ALIVE = ("working", "idle", "silent")
GONE_FOR = timedelta(hours=1)  # how long one that ended is still shown

_MINE = "(%(projects)s::bigint[] IS NULL OR g.project_id = ANY(%(projects)s))"
_QUEUES = f"""
SELECT 'agents', 'waiting for a worker (' || a.lane || ')', count(*), min(a.created_at)
FROM agentsys_orchestration_attempt a
JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
WHERE a.state = 'queued' AND g.state = 'running' AND g.paused_at IS NULL AND {_MINE} GROUP BY a.lane
UNION ALL
SELECT 'verify', 'waiting for a verifier', count(*), min(v.created_at)
FROM agentsys_verification_verdict v
JOIN agentsys_orchestration_goal g ON g.id = v.goal_id
WHERE v.state = 'queued' AND g.state = 'running' AND g.paused_at IS NULL AND {_MINE}
UNION ALL
SELECT 'control', 'waiting for a planner', count(*), min(g.created_at)
FROM agentsys_orchestration_goal g WHERE g.state = 'planning' AND {_MINE}
UNION ALL
SELECT 'control', 'approved, to be applied', count(*), min(p.decided_at)
FROM agentsys_orchestration_proposal p
JOIN agentsys_orchestration_goal g ON g.id = p.goal_id
WHERE p.state = 'approved' AND g.state = 'running' AND g.paused_at IS NULL AND {_MINE}
UNION ALL
SELECT 'held back', 'of goals that are paused', count(*), min(a.created_at)
FROM agentsys_orchestration_attempt a
JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
WHERE a.state = 'queued' AND g.paused_at IS NOT NULL AND g.finished_at IS NULL AND {_MINE}
UNION ALL
SELECT 'memory', 'goals to be looked back on', count(*), min(g.reflect_due_at)
FROM agentsys_orchestration_goal g WHERE g.reflect_due_at <= clock_timestamp() AND {_MINE}
"""  # noqa: S608 - a part of this file


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows of one kind that nobody has claimed; `oldest_at` None where there are none."""

    queue: str
    what: str
    count: int
    oldest_at: datetime | None


@dataclass(slots=True)
class Worker:
    """`state`: working, idle, silent (its lock is held, and it has not been heard for a lease), ended,
    or lost (it did not say goodbye)."""

    session: WorkerSession
    state: str
    attempts: list[Any] = field(default_factory=list)
    shifts: list[Any] = field(default_factory=list)


def queues(projects: Sequence[int] | None) -> list[Waiting]:
    """What waits in these projects (None: all)."""
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES, {"projects": None if projects is None else list(projects)})
        return [Waiting(*row) for row in cursor.fetchall()]


def workers(projects: Sequence[int] | None) -> list[Worker]:
    """Those that live or ended lately, newest first, each with what it runs of these projects."""
    recent = Q(ended_at__isnull=True) | Q(ended_at__gt=Now() - GONE_FOR)
    rows = list(WorkerSession.objects.filter(recent).order_by("-pk")[:WORKERS_MAX])
    alive = sessions_alive()
    found = [Worker(row, _state(row, alive)) for row in rows]
    shown = [each for each in found if each.state != "lost" or _seen_lately(each.session)]
    by_id = {each.session.pk: each for each in shown}
    for attempt in _attempts(list(by_id), projects):
        by_id[attempt.owner or 0].attempts.append(attempt)  # those of an owner were asked for
    for shift in _shifts(list(by_id), projects):
        by_id[shift.owner].shifts.append(shift)
    for each in shown:
        if each.state == "idle" and (each.attempts or each.shifts):
            each.state = "working"
    return shown


def worker_lines() -> list[dict[str, Any]]:
    """Of every project, for programs."""
    return [
        {
            "id": each.session.pk,
            "host": each.session.host,
            "pid": each.session.pid,
            "started_at": iso(each.session.started_at),
            "seen_at": iso(each.session.seen_at),
            "alive": each.state in ALIVE,
            "running": len(each.attempts),
        }
        for each in workers(None)
    ]


def queue_lines() -> list[dict[str, Any]]:
    """Each queue, of every project, for programs: what waits, the age of the oldest, and doorbells in the
    broker, None while it is away."""
    waiting = [each for each in queues(None) if each.count]
    bells = dict(doorbells().queues)
    return [
        {
            "name": name,
            "waiting": sum(each.count for each in waiting if each.queue == name),
            "oldest_seconds": _age(each.oldest_at for each in waiting if each.queue == name),
            "messages": bells.get(name),
        }
        for name in QUEUES
    ]


def _age(times: Iterable[datetime | None]) -> float | None:
    oldest = min((at for at in times if at is not None), default=None)
    return None if oldest is None else round((timezone.now() - oldest).total_seconds(), 1)


def _state(row: WorkerSession, alive: set[int]) -> str:
    if row.ended_at is not None:
        return "ended"
    if row.pk not in alive:
        return "lost"
    silent = timezone.now() - row.seen_at > timedelta(seconds=settings.AGENTSYS.lease_seconds)
    return "silent" if silent else "idle"


def _seen_lately(row: WorkerSession) -> bool:
    return timezone.now() - row.seen_at < GONE_FOR


def _attempts(owners: list[int], projects: Sequence[int] | None) -> list[Attempt]:
    rows = Attempt.objects.filter(state="running", owner__in=owners)
    if projects is not None:
        rows = rows.filter(goal__project__in=projects)
    rows = rows.select_related("task", "goal").order_by("started_at")
    return list(rows.defer("report", "task__definition", "goal__contract")[:RUNNING_MAX])


def _shifts(owners: list[int], projects: Sequence[int] | None) -> list[SwarmShift]:
    rows = SwarmShift.objects.filter(ended_at__isnull=True, owner__in=owners)
    if projects is not None:
        rows = rows.filter(goal__project__in=projects)
    rows = rows.select_related("task", "goal").order_by("started_at")
    return list(rows.defer("task__definition", "goal__contract")[:RUNNING_MAX])
