"""The orchestrator's one decision: look at a goal and do what follows.

Level-driven and idempotent: it looks at the rows as they are, not at what happened, so it may be
called twice, late, or from anywhere: chord callbacks, settle, the API, every sweep. What to do is
decided by `domain.advancing.decide`; each turn of the loop carries out one decision under the
goal's lock, until there is nothing to do but wait.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from orchestration.domain.advancing import Expand, Fall, Observed, Start, Succeed, Wait, decide
from orchestration.domain.lives import GoalEvent, TaskEvent
from orchestration.models import Goal, Swarm, Task
from orchestration.services import dispatch
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import ORCHESTRATOR, goal_move, tasks_move
from orchestration.services.plans import fan_out_expand, roots_start, swarm_begin

TURNS_MAX = 50


def advance(goal_id: int) -> str:
    """Do what can be done for the goal; returns its state."""
    after = Followups()
    with goal_locked(goal_id) as book:
        for _ in range(TURNS_MAX):
            if book.goal_state != "running" or book.paused_at is not None:
                break
            if not _turn(book, after):
                break
        state = book.goal_state
    after.publish(goal_id)
    if state in ("succeeded", "failed", "cancelled"):
        dispatch.send("orchestration.wrap_up", goal_id)  # other goals' ends need not wait for it
    return state


def _turn(book: Book, after: Followups) -> bool:
    """Carry out one decision; False when there is nothing more to do now."""
    republish = settings.AGENTSYS.republish_seconds
    match decide(observe(book)):
        case Expand(task_ids=ids):
            for task in Task.objects.filter(pk__in=ids).order_by("pk"):
                if task.definition.get("swarm") is not None:
                    swarm_begin(book, task, after)
                    continue
                after.unlocked += fan_out_expand(book, task, republish_seconds=republish)
            return True
        case Start(task_ids=ids):
            after.unlocked += roots_start(book, republish_seconds=republish, only=list(ids))
            return True
        case Succeed(reason=reason):
            _end(book, GoalEvent.SUCCEEDED, reason)
        case Fall(reason=reason):
            blocked = Task.objects.filter(goal_id=book.goal_id, state="blocked")
            tasks_move(
                book,
                blocked.values_list("pk", flat=True),
                TaskEvent.CANCELLED,
                payload={"reason": "what it needs failed"},
                fields={"reason": "what it needs failed"},
            )
            _end(book, GoalEvent.FAILED, reason)
        case Wait():
            pass
    return False


def observe(book: Book) -> Observed:
    """Count the goal's tasks; a few indexed queries over those that are not finished."""
    unfinished = Task.objects.filter(goal_id=book.goal_id)
    blocked = unfinished.filter(state="blocked")
    free = list(blocked.filter(unmet=0, paused_at__isnull=True).values_list("pk", "expands"))
    # A swarm under way moves; one that failed, whose task a person retries, is opened again.
    expandable = [pk for pk, expands in free if expands]
    swarms = set(
        Swarm.objects.filter(pk__in=expandable, state="mapping").values_list("pk", flat=True)
        if expandable
        else ()
    )
    # What is paused by itself will go on some day: it counts as moving.
    under_way = Q(state__in=("ready", "running", "verifying", "held"))
    stands_still = Q(state="blocked", unmet=0, paused_at__isnull=False)
    moving = unfinished.filter(under_way | stands_still).count() + len(swarms)
    failed: tuple[str, ...] = ()
    waiting, end = 0, {}
    if not moving and not free:
        waiting = blocked.count()
        failed = tuple(
            unfinished.filter(state="failed", optional=False)
            .order_by("pk")
            .values_list("key", flat=True)[:6]
        )
        end = {} if waiting or failed else _end_seen(unfinished)
    return Observed(
        expandable=tuple(pk for pk in expandable if pk not in swarms),
        startable=tuple(pk for pk, expands in free if not expands),
        moving=moving,
        blocked=waiting,
        failed=failed,
        **end,
    )


def _end_seen(tasks: QuerySet[Task]) -> dict[str, Any]:
    """What came of it; of tasks that failed only where none is done."""
    rows = tasks.exclude(state="superseded")
    total, done = rows.count(), rows.filter(state="done").count()
    missed = rows.filter(state="failed").order_by("pk").values_list("key", "reason")
    return {"total": total, "done": done, "went_without": () if done else tuple(missed)}


def _end(book: Book, event: GoalEvent, reason: str) -> None:
    if goal_move(book, event, actor=ORCHESTRATOR, reason=reason):
        # The row is the outbox of wrapping up: cleared when that is done.
        Goal.objects.filter(pk=book.goal_id).update(publish_due_at=book.now)
