"""Scope leases: two tasks that may write the same thing are never under way at once.

A task takes all its scopes at its claim, or none, under the project's advisory lock, and keeps
them until it comes to its end (through verification, approval and merge). There is nothing to
deadlock on: whoever cannot have all its scopes holds none and is tried again.

Nor does anybody wait for ever: who came later stands back where it would take what an earlier one
waits for, and who waits for whom follows the order in which they were first queued. Only when that one
waits for a person, which may take days, the others go ahead.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import Q

from orchestration.domain.scopes import resources_overlap
from orchestration.models import Attempt, LedgerEntry, ScopeLease, Task
from orchestration.services.ledger import Book

PROJECT_LOCK = 0x6169
ORDERED = "conflict.ordered"  # the ledger's word: the task runs alone over its repository
EVERYTHING = ("repo:**", True)
WAITS = "waits for "  # how the reason of a task begins that wanted its scopes and did not get them
EARLIER_MAX = 100
Wish = tuple[str, bool]  # a resource, and whether nobody else may have it


def scopes_take(book: Book, task_id: int, scopes: Sequence[Mapping[str, Any]]) -> str:
    """Take the leases; returns "" or, when something is held, one sentence that names the holder."""
    wanted = _wishes(scopes, alone=task_id in _alone([task_id]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PROJECT_LOCK, book.project_id])
    held = list(
        ScopeLease.objects.filter(project_id=book.project_id, space=book.repository)
        .exclude(task_id=task_id)
        .select_related("task")
    )
    for lease in held:
        if resource := _clash(wanted, (lease.resource, lease.exclusive)):
            holder = f"{lease.task.goal_id}/{lease.task.key}"
            same = lease.resource == resource
            return f"{WAITS}{resource}{', which' if same else f': {lease.resource}'} is held by {holder}"
    for name, wishes in _earlier(book, task_id, held):
        for wish in wishes:
            if resource := _clash(wanted, wish):
                also = "" if wish[0] == resource else f" wants {wish[0]} and"
                return f"{WAITS}{resource}: {name}{also} was queued earlier"
    ScopeLease.objects.bulk_create(
        [
            ScopeLease(
                project_id=book.project_id,
                task_id=task_id,
                space=book.repository,
                resource=resource,
                exclusive=exclusive,
            )
            for resource, exclusive in wanted
        ],
        ignore_conflicts=True,
    )
    return ""


def _wishes(scopes: Sequence[Mapping[str, Any]], *, alone: bool) -> list[Wish]:
    wishes = {s["resource"]: s.get("mode", "write") == "write" for s in scopes}
    return list({**wishes, **dict([EVERYTHING] if alone else [])}.items())


def _clash(wanted: Sequence[Wish], other: Wish) -> str:
    """The first wish that does not go with `other`, or ""."""
    return next(
        (
            resource
            for resource, exclusive in wanted
            if (exclusive or other[1]) and resources_overlap(resource, other[0])
        ),
        "",
    )


def _earlier(
    book: Book, task_id: int, held: Sequence[ScopeLease]
) -> Iterator[tuple[str, list[Wish]]]:
    """Tasks that wait for their scopes, were first queued before this one, and will get what they want
    without a person."""
    mine = Attempt.objects.filter(task_id=task_id, number=1).values_list("pk", flat=True).first()
    waiting = Task.objects.filter(
        Q(due_at=None) | Q(due_at__lte=book.now),
        attempts__number=1,
        attempts__pk__lt=mine or 0,
        state="ready",
        scoped=True,
        paused_at=None,
        reason__startswith=WAITS,
        goal__project_id=book.project_id,
        goal__repository=book.repository,
        goal__state="running",
        goal__paused_at=None,
    ).order_by("attempts__pk")
    columns = ("pk", "goal_id", "key", "definition__scopes")
    rows = list(waiting.values_list(*columns)[:EARLIER_MAX])
    alone = _alone([row[0] for row in rows])
    for pk, goal_id, key, scopes in rows:
        wishes = _wishes(scopes or (), alone=pk in alone)
        before = [one for one in held if _clash(wishes, (one.resource, one.exclusive))]
        if not any(one.task.state == "held" for one in before):
            yield f"{goal_id}/{key}", wishes


def _alone(task_ids: Collection[int]) -> set[int]:
    """Those whose changes have lost twice: nothing else is changed while they work."""
    tried = Task.objects.filter(pk__in=task_ids, attempts_count__gte=3)
    tasks = dict(tried.values_list("pk", "goal_id"))
    if not tasks:
        return set()
    ordered = LedgerEntry.objects.filter(
        goal_id__in=set(tasks.values()), event=ORDERED, task_id__in=list(tasks)
    )
    return {pk for pk in ordered.values_list("task_id", flat=True) if pk is not None}


def scopes_release(task_ids: Sequence[int]) -> None:
    ScopeLease.objects.filter(task_id__in=list(task_ids)).delete()
