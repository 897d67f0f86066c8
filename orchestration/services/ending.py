"""How a task goes on after an attempt that does not count: another try, or its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import connection

from orchestration.domain.lives import AttemptEvent, TaskEvent
from orchestration.domain.settling import Patience
from orchestration.models import Attempt, Task
from orchestration.services.followups import Followups
from orchestration.services.hotpath import Unlocked, queue_again, unlock
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR, attempts_move, tasks_move
from orchestration.services.requests import task_requests_withdraw
from orchestration.services.scopes import scopes_release

FORGIVEN = frozenset({TaskEvent.LOST, TaskEvent.RESUMED})  # no fault of the agent's


def patience_of(definition: Mapping[str, Any], attempts_made: int) -> Patience:
    retry = definition.get("retry") or {}
    return Patience(
        attempts_max=retry.get("attempts_max", settings.AGENTSYS.attempts_max),
        attempts_made=attempts_made,
    )


def task_retry(
    book: Book,
    task_id: int,
    *,
    reason: str,
    delay_seconds: float,
    after: Followups,
    event: TaskEvent = TaskEvent.RETRIED,
    lineage: str | None = None,
    forgiven: bool | None = None,
    facts: Mapping[str, Any] = {},
) -> bool:
    """A new attempt, due after the delay; its scopes are free meanwhile. False: the race was lost.

    With `lineage` it goes on with that journal. `forgiven` says that the last attempt does not
    use up the task's patience; what was lost or sent back by a person never does.
    """
    forgiven = event in FORGIVEN if forgiven is None else forgiven
    moved = tasks_move(
        book,
        [task_id],
        event,
        payload={
            "reason": reason,
            "delay_seconds": round(delay_seconds, 3),
            "forgiven": forgiven,
            **facts,
        },
        fields={"reason": reason[:2000]},
    )
    if not moved:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentsys_orchestration_task SET due_at ="
            " CASE WHEN %s > 0 THEN COALESCE(paused_at, %s) + make_interval(secs => %s) END,"
            " attempts_forgiven = attempts_forgiven + %s WHERE id = %s RETURNING fence, lane",
            [delay_seconds, book.clock, delay_seconds, int(forgiven), task_id],
        )
        fence, lane = cursor.fetchone()
    scopes_release([task_id])
    task_requests_withdraw(book, task_id, actor=ORCHESTRATOR)
    queue_again(
        book, [task_id], republish_seconds=settings.AGENTSYS.republish_seconds, lineage=lineage
    )
    if delay_seconds <= 0:
        ready = (
            Unlocked(agents=((task_id, fence),)) if lane == "agent" else Unlocked(cheap=(task_id,))
        )
        after.unlocked += ready
    return True


def attempt_refuse(
    book: Book,
    attempt: Attempt,
    *,
    reason: str,
    after: Followups,
    forgiven: bool = False,
    helps: bool = True,
) -> None:
    """What a reported attempt proposes cannot be: another try with the reason while there is patience,
    or the end. `forgiven`: it was no fault of the agent's; `helps`: another try may come to something
    else."""
    task = attempt.task
    attempts_move(
        book,
        [attempt.pk],
        AttemptEvent.REJECTED,
        payload={"reason": reason},
        fields={"reason": reason},
    )
    counted = task.attempts_count - task.attempts_forgiven
    if forgiven or (helps and patience_of(task.definition, counted).left):
        task_retry(book, task.pk, reason=reason, delay_seconds=0, after=after, forgiven=forgiven)
    else:
        task_fail(book, task.pk, reason=reason, after=after)


def task_fail(
    book: Book, task_id: int, *, reason: str, after: Followups, actor: str = ORCHESTRATOR
) -> None:
    """A task that cannot be had. Dependents of an optional one go on without it."""
    moved = tasks_move(
        book,
        [task_id],
        TaskEvent.EXHAUSTED,
        actor=actor,
        payload={"reason": reason},
        fields={"reason": reason[:2000], "due_at": None},
    )
    if not moved:
        return
    task = Task.objects.get(pk=task_id)
    if task.losses >= settings.AGENTSYS.lost_max:
        _keep_poison(book, task, reason, actor)
    scopes_release([task_id])
    task_requests_withdraw(book, task_id, actor=actor)
    if task.optional:
        after.unlocked += unlock(
            book, [task_id], republish_seconds=settings.AGENTSYS.republish_seconds
        )
    else:
        after.advance = True


def _keep_poison(book: Book, task: Task, reason: str, actor: str) -> None:
    """What killed its workers, for whoever looks into it: the ledger forgets nothing."""
    last = Attempt.objects.filter(task_id=task.pk).order_by("number").last()
    book.record(
        "task.quarantined",
        actor=actor,
        task_id=task.pk,
        attempt_id=last.pk if last else None,
        payload={
            "reason": reason,
            "losses": task.losses,
            "agent": task.agent,
            "inputs": task.definition.get("inputs") or {},
            "definition_hash": task.definition_hash,
            "lineage": last.lineage if last else "",
            "note": last.note if last else "",
        },
    )


def look_for_the_end(book: Book, after: Followups) -> None:
    """Ask for `advance` when no task of the goal is left that could go on by itself."""
    unlocked = after.unlocked
    if unlocked.agents or unlocked.cheap or unlocked.expandable or after.advance:
        return
    moving = Task.objects.filter(
        goal_id=book.goal_id, state__in=("ready", "running", "verifying", "held")
    )
    after.advance = not moving.exists()
