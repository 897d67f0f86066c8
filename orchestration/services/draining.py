"""Giving work back: a worker that is told to stop, or that lost sight of a commit, burns no attempt.

What is given back goes to the queue as the same attempt with the same journal, under the fence it
had and with the scopes it holds; the next claim raises the fence. Whoever still works on it here
finds out at its next guard.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

import structlog
from django.conf import settings
from django.db import connection

from orchestration.domain.lives import AttemptEvent, TaskEvent
from orchestration.models import Attempt
from orchestration.services.followups import Followups
from orchestration.services.hotpath import Unlocked
from orchestration.services.ledger import goal_locked
from orchestration.services.moves import attempts_move, tasks_move
from orchestration.services.sessions import Session

log = structlog.get_logger(__name__)


def drain(session: Session) -> threading.Thread:
    """Claim nothing more from now on; what is not at its end in `drain_seconds` is given back."""
    session.draining = True
    thread = threading.Thread(target=_drain, args=(session,), name="agentsys-drain", daemon=True)
    thread.start()
    return thread


def _drain(session: Session) -> None:
    session.quiet.wait(settings.AGENTSYS.drain_seconds)
    try:
        if count := attempts_release(session.id):
            log.warning("gave back what was not finished", session=session.id, attempts=count)
    except Exception as error:  # the edge of a thread: the sweep takes back what is left
        log.warning("could not give back", session=session.id, error=str(error))
    finally:
        connection.close()


def attempts_release(owner: int, *, goal_id: int | None = None, keep: Collection[int] = ()) -> int:
    """Give back what the session `owner` holds, in one goal or in all, but for `keep`; returns
    how many attempts that were."""
    held = Attempt.objects.filter(owner=owner, state="running").exclude(pk__in=list(keep))
    if goal_id is not None:
        held = held.filter(goal_id=goal_id)
    goals = sorted(set(held.values_list("goal_id", flat=True)))
    return sum(_release(goal, owner, keep) for goal in goals)


def _release(goal_id: int, owner: int, keep: Collection[int]) -> int:
    after = Followups()
    with goal_locked(goal_id) as book:
        rows = list(
            Attempt.objects.filter(goal_id=goal_id, owner=owner, state="running")
            .exclude(pk__in=list(keep))
            .values_list("pk", "task_id", "fence", "lane")
        )
        actor = f"worker-{owner}"
        attempts_move(
            book,
            [row[0] for row in rows],
            AttemptEvent.YIELDED,
            actor=actor,
            fields={"owner": None, "lease_until": None, "publish_due_at": book.now},
        )
        task_ids = [row[1] for row in rows]
        tasks_move(book, task_ids, TaskEvent.YIELDED, actor=actor)
        after.unlocked = Unlocked(
            agents=tuple((task, fence) for _, task, fence, lane in rows if lane == "agent"),
            cheap=tuple(task for _, task, _, lane in rows if lane == "cheap"),
        )
    after.publish(goal_id)
    return len(rows)
