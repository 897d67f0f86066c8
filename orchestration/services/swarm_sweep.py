"""What the sweep does for swarms: takes back the shifts of dead or silent workers, and rings again.

A swarm's row is its own outbox, as a queued attempt is: it has a time at which a bell is sent
(again), pushed on with growing pauses while nobody comes.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from agentsys.kernel.crashpoints import crashpoint
from orchestration.models import SwarmShift
from orchestration.services import dispatch
from orchestration.services.ledger import goal_locked
from orchestration.services.sessions import sessions_alive
from orchestration.services.swarms import shift_end

_SHIFTS = """
SELECT w.id, w.owner, w.lease_until <= clock_timestamp(), EXISTS (
    SELECT 1 FROM agentsys_orchestration_workersession s
    WHERE s.id = w.owner AND s.ended_at IS NULL AND s.seen_at < pg_postmaster_start_time())
FROM agentsys_orchestration_swarmshift w WHERE w.ended_at IS NULL ORDER BY w.id
"""

# An item that waits for its time is no reason to ring; one that was never leased, or is to be
# concluded, is. Whoever has a shift there claims for himself as long as he has room.
_DUE = """
SELECT s.task_id FROM agentsys_orchestration_swarm s
JOIN agentsys_orchestration_task t ON t.id = s.task_id
JOIN agentsys_orchestration_goal g ON g.id = s.goal_id
WHERE s.state = 'mapping' AND (%(all)s OR s.publish_due_at <= clock_timestamp())
  AND t.state = 'blocked' AND t.expands AND t.unmet = 0 AND t.paused_at IS NULL
  AND g.state = 'running' AND g.paused_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM agentsys_orchestration_approvalrequest r
                  WHERE r.task_id = t.id AND r.state = 'open' AND r.kind = 'budget')
ORDER BY s.publish_due_at, s.task_id LIMIT 100
"""
_SENT = """
UPDATE agentsys_orchestration_swarm s SET publishes = s.publishes + 1,
    publish_due_at = clock_timestamp() + make_interval(
        secs => LEAST(%(first)s * 2 ^ LEAST(s.publishes, 10), %(most)s))
WHERE s.task_id = ANY(%(ids)s) AND s.state = 'mapping' AND s.publish_due_at <= clock_timestamp()
"""


def shifts_lost() -> list[int]:
    """Open shifts whose worker's session is gone, or whose lease ran out. Shifts first, sessions
    after: one that opens in between is not taken for dead."""
    with connection.cursor() as cursor:
        cursor.execute(_SHIFTS)
        rows = cursor.fetchall()
    alive = sessions_alive() if rows else set()
    return [row[0] for row in rows if row[2] or not (row[1] in alive or row[3])]


def shifts_take_back() -> int:
    """What dead workers had leased is open again; others are rung for it."""
    count = 0
    for pk in shifts_lost():
        shift = SwarmShift.objects.get(pk=pk)
        with goal_locked(shift.goal_id) as book:
            # Looked at again under the lock: a worker that was slow may have been heard meanwhile.
            ended = pk in shifts_lost() and shift_end(book, shift.task_id, pk, lost=True)
        crashpoint("C19")
        if ended:
            count += 1
            dispatch.ring_swarm(shift.task_id)
    return count


def swarms_join() -> int:
    """A worker that has come up rings for a place at each swarm that is under way."""
    under_way = _due(every=True)
    for task_id in under_way:
        dispatch.send("orchestration.swarm", task_id)
    return len(under_way)


def _due(*, every: bool = False) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"all": every})
        return [row[0] for row in cursor.fetchall()]


def swarms_publish() -> int:
    due = _due()
    for task_id in due:
        dispatch.ring_swarm(task_id)
    if due:
        config = settings.AGENTSYS
        values = {"first": config.republish_seconds, "most": config.republish_max_seconds}
        with connection.cursor() as cursor:
            cursor.execute(_SENT, {**values, "ids": due})
    return len(due)
