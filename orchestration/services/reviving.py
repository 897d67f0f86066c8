"""Tasks that had failed or were cancelled begin again, with all their patience."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from orchestration.domain.lives import TaskEvent
from orchestration.models import Dependency, Recovery, Task
from orchestration.services.ledger import Book
from orchestration.services.moves import tasks_move

_FORGIVE = """
UPDATE agentsys_orchestration_task SET attempts_forgiven = attempts_count WHERE id = ANY(%s)
"""

_RECOUNT = """
UPDATE agentsys_orchestration_task t SET unmet = (
    SELECT count(*) FROM agentsys_orchestration_dependency d
    JOIN agentsys_orchestration_task n ON n.id = d.needs_id
    WHERE d.task_id = t.id AND n.state <> 'done' AND NOT (n.state = 'failed' AND n.optional))
WHERE t.id = ANY(%s)
"""


def failures(goal_ids: Collection[int]) -> QuerySet[Task]:
    """What is to be tried again of these goals. An optional task that others went on without stays as
    it is: what they made of its absence is accepted."""
    ended = Task.objects.filter(goal__in=goal_ids, state__in=("failed", "cancelled"))
    went_on = Dependency.objects.filter(needs=OuterRef("pk"), task__state="done")
    settled = Q(optional=True, state="failed") & Exists(went_on)
    return ended.exclude(settled).order_by("pk")


def failures_of(goal_id: int) -> list[int]:
    return list(failures([goal_id]).values_list("pk", flat=True))


def tasks_revive(book: Book, task_ids: Sequence[int], *, actor: str) -> list[int]:
    """Blocked again, on the first rung of the recovery ladder. The caller counts what they need
    (`unmet_recount`) once all that is to change has changed, and starts them."""
    fields = {"losses": 0, "reason": "", "due_at": None, "paused_at": None}
    moved = tasks_move(book, task_ids, TaskEvent.REVIVED, actor=actor, fields=fields)
    with connection.cursor() as cursor:
        cursor.execute(_FORGIVE, [moved])
    Recovery.objects.filter(task_id__in=moved).delete()
    return moved


def unmet_recount(task_ids: Sequence[int]) -> None:
    """Count anew what these tasks wait for."""
    if task_ids:
        with connection.cursor() as cursor:
            cursor.execute(_RECOUNT, [list(task_ids)])
