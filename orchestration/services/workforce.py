"""Who does the work, and what waits for them: worker processes and queues. Rows, not messages, are the
queues; what stands in the broker are doorbells, shown beside them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now

from agentsys.celery import QUEUES
from agentsys.gateway.shared import by_redis
from orchestration.models import Attempt, WorkerSession
from orchestration.services.reads import iso
from orchestration.services.sessions import sessions_alive

ENDED_MAX = 20  # of those that are over, the last ones

_WAITING = """
SELECT 'agents', count(*), extract(epoch FROM clock_timestamp() - min(created_at))
FROM agentsys_orchestration_attempt WHERE state = 'queued'
UNION ALL
SELECT 'verify', count(*), extract(epoch FROM clock_timestamp() - min(created_at))
FROM agentsys_verification_verdict WHERE state = 'queued'
UNION ALL
SELECT 'control', count(*), extract(epoch FROM clock_timestamp() - min(created_at))
FROM agentsys_orchestration_goal WHERE state = 'planning'
UNION ALL
SELECT 'memory', count(*), extract(epoch FROM clock_timestamp() - min(reflect_due_at))
FROM agentsys_orchestration_goal WHERE reflect_due_at <= clock_timestamp()
"""


def workers_list() -> list[dict[str, Any]]:
    """Worker processes that live, and the last ones that do not any more; the newest first."""
    alive = sessions_alive()
    rows = WorkerSession.objects.order_by("-pk")
    found = [*rows.filter(pk__in=alive), *rows.exclude(pk__in=alive)[:ENDED_MAX]]
    held = Attempt.objects.filter(state="running", lease_until__gt=Now()).values("owner").order_by()
    running = {row["owner"]: row["n"] for row in held.annotate(n=Count("pk"))}
    return [
        {
            "id": row.pk,
            "host": row.host,
            "pid": row.pid,
            "started_at": iso(row.started_at),
            "seen_at": iso(row.seen_at),
            "alive": row.pk in alive,
            "running": running.get(row.pk, 0),
        }
        for row in found
    ]


def queues_list() -> list[dict[str, Any]]:
    """Each queue: rows that nobody has claimed, the age of the oldest, and doorbells in the broker."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING)
        waiting = {name: (number, age) for name, number, age in cursor.fetchall()}
    lengths: list[int] = by_redis(
        lambda ask: [ask.llen(f"{_prefix()}{name}") for name in QUEUES], list
    )
    bells = dict(zip(QUEUES, lengths, strict=False))  # none while Redis is away
    return [
        {
            "name": name,
            "waiting": waiting[name][0],
            "oldest_seconds": None
            if waiting[name][1] is None
            else round(float(waiting[name][1]), 1),
            "messages": bells.get(name),
        }
        for name in QUEUES
    ]


def _prefix() -> str:
    return str(settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"])
