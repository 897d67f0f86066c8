"""How a task goes on after an attempt that does not count: another try, or its end."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import connection

from orchestration.domain.lives import TaskEvent
from orchestration.domain.settling import Patience
from orchestration.models import Task
from orchestration.services.followups import Followups
from orchestration.services.hotpath import Unlocked, queue_again, unlock
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR, tasks_move
from orchestration.services.requests import task_requests_withdraw
from orchestration.services.scopes import scopes_release


def patience_of(definition: Mapping[str, Any], attempts_made: int) -> Patience:
    config = settings.AGENTSYS
    retry = definition.get("retry") or {}
    return Patience(
        attempts_max=retry.get("attempts_max", config.attempts_max),
        attempts_made=attempts_made,
        backoff_seconds=retry.get("backoff_seconds", config.backoff_seconds),
        backoff_max_seconds=config.backoff_max_seconds,
        jitter=random.random(),  # noqa: S311 - spreads retries, protects nothing
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
) -> None:
    """A new attempt, due after the delay; its scopes are free meanwhile."""
    moved = tasks_move(
        book,
        [task_id],
        event,
        payload={"reason": reason, "delay_seconds": round(delay_seconds, 3)},
        fields={"reason": reason[:2000]},
    )
    if not moved:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentsys_orchestration_task SET due_at ="
            " CASE WHEN %s > 0 THEN %s + make_interval(secs => %s) END WHERE id = %s"
            " RETURNING fence, lane",
            [delay_seconds, book.now, delay_seconds, task_id],
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
    scopes_release([task_id])
    task_requests_withdraw(book, task_id, actor=actor)
    if Task.objects.values_list("optional", flat=True).get(pk=task_id):
        after.unlocked += unlock(
            book, [task_id], republish_seconds=settings.AGENTSYS.republish_seconds
        )
    else:
        after.advance = True


def look_for_the_end(book: Book, after: Followups) -> None:
    """Ask for `advance` when no task of the goal is left that could go on by itself."""
    unlocked = after.unlocked
    if unlocked.agents or unlocked.cheap or unlocked.expandable or after.advance:
        return
    moving = Task.objects.filter(
        goal_id=book.goal_id, state__in=("ready", "running", "verifying", "held")
    )
    after.advance = not moving.exists()
