"""A provider that is away: one task asks again, the others wait behind it.

Without this, a hundred tasks that met an outage would all ask again at the same moments. So the
first that failed becomes the probe; whoever fails while it waits is due well after it. When a
probe fails, another of those that wait is the next, later each time, and all others are moved
behind it. The first answer brings everybody back, spread over seconds.

All of it is `due_at` of rows that wait anyway. Rows of other goals are moved without their locks,
since that changes no state: rows that somebody holds are skipped, so nothing waits, and whoever is
missed is due a minute later at most.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction

from orchestration.models import Outage, Recovery
from orchestration.services.ledger import Book

PROBE_SECONDS_MAX = 30.0  # between two probes: how late the end of an outage is noticed
BEHIND_SECONDS = 60.0  # what waits is due so long after the probe, should nobody bring it back
APART_SECONDS = 0.2  # between two that come back
SPREAD_SECONDS_MAX = 30.0
OVER_SECONDS = 600.0  # an outage of which nothing was heard so long is another one

_WAITING = """
    SELECT t.id AS task_id, a.id AS attempt_id, t.attempts_forgiven
    FROM agentsys_orchestration_recovery r
    JOIN agentsys_orchestration_task t ON t.id = r.task_id
    JOIN agentsys_orchestration_goal g ON g.id = t.goal_id AND g.paused_at IS NULL
    JOIN agentsys_orchestration_attempt a ON a.task_id = t.id AND a.state = 'queued'
    WHERE r.source = %(source)s AND t.state = 'ready' AND t.due_at IS NOT NULL AND t.paused_at IS NULL
      AND t.id <> %(but)s
    FOR UPDATE OF t, a SKIP LOCKED
"""
_MOVE = f"""
WITH waiting AS MATERIALIZED ({_WAITING}), dues AS (
    SELECT task_id, attempt_id,
           CASE WHEN %(probe)s::timestamptz IS NOT NULL
                 AND row_number() OVER (ORDER BY attempts_forgiven, task_id) = 1
           THEN %(probe)s::timestamptz
           ELSE %(from)s::timestamptz + make_interval(secs => random() * LEAST(
               count(*) OVER () * {APART_SECONDS}, {SPREAD_SECONDS_MAX})) END AS due_at
    FROM waiting
), tasks AS (
    UPDATE agentsys_orchestration_task t SET due_at = d.due_at
    FROM dues d WHERE t.id = d.task_id
)
UPDATE agentsys_orchestration_attempt a SET publish_due_at = d.due_at
FROM dues d WHERE a.id = d.attempt_id
"""  # noqa: S608 - put together from statements of our own


@dataclass(frozen=True, slots=True)
class Place:
    """When a task may ask again, and whether it is the one that asks first."""

    delay_seconds: float
    probe: bool


def outage_seen(book: Book, source: str, *, task_id: int, wait_seconds: float = 0.0) -> Place:
    """A call to `source` failed; where the task stands among those that wait for it.

    `wait_seconds` is what the source itself asked for. The caller holds the task's goal and no
    budget's row, and gives the task its new `due_at`.
    """
    row, new = Outage.objects.select_for_update().get_or_create(
        source=source, defaults={"probe_at": book.now, "seen_at": book.now, "since_at": book.now}
    )
    if (book.now - row.seen_at).total_seconds() > OVER_SECONDS:
        row.level, row.since_at, new = 0, book.now, True
    Recovery.objects.update_or_create(task_id=task_id, defaults={"source": source})
    row.seen_at, asked = book.now, book.now + timedelta(seconds=wait_seconds)
    probe = new
    if new:
        row.probe_at = book.now + timedelta(seconds=_probe_wait(0, wait_seconds))
    elif book.now >= row.probe_at:  # the probe failed
        row.level += 1
        row.probe_at = book.now + timedelta(seconds=_probe_wait(row.level, wait_seconds))
        probe = _move(source, row, but=task_id) == 0
    elif asked > row.probe_at:
        row.probe_at = asked
        probe = _move(source, row, but=task_id) == 0
    row.save()
    delay = (row.probe_at - book.now).total_seconds()
    if not probe:
        delay += BEHIND_SECONDS + random.random() * SPREAD_SECONDS_MAX  # noqa: S311 - spreads
    return Place(delay, probe)


def _probe_wait(level: int, asked: float) -> float:
    config = settings.AGENTSYS
    most = min(config.backoff_max_seconds, PROBE_SECONDS_MAX)
    wait = min(config.backoff_seconds * 2 ** min(level, 20), most)
    return float(max(wait, asked) * (1 + random.random() / 2))  # noqa: S311


def _move(source: str, row: Outage, *, but: int) -> int:
    """The next probe and those behind it; how many there were beside `but`."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MOVE,
            {
                "source": source,
                "but": but,
                "probe": row.probe_at,
                "from": row.probe_at + timedelta(seconds=BEHIND_SECONDS),
            },
        )
        return int(cursor.rowcount)


def task_was_answered(task_id: int) -> None:
    """A model answered this task: if it had waited for a provider, that is back."""
    source = Recovery.objects.filter(task_id=task_id).values_list("source", flat=True).first()
    if source:
        outage_over(source)


def outage_over(source: str) -> None:
    """Everybody who waits for `source` may ask again, within seconds."""
    with transaction.atomic(), connection.cursor() as cursor:
        Outage.objects.filter(source=source).delete()
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
        cursor.execute(_MOVE, {"source": source, "but": 0, "probe": None, "from": now})
        Recovery.objects.filter(source=source).update(source="")
