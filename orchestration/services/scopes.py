"""Scope leases: two tasks that may write the same thing are never under way at once.

A task takes all its scopes at its claim, or none, under the project's advisory lock, and keeps
them until it comes to its end (through verification, approval and merge). There is nothing to
deadlock on: whoever cannot have all its scopes holds none and is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from orchestration.domain.scopes import resources_overlap
from orchestration.models import LedgerEntry, ScopeLease, Task
from orchestration.services.ledger import Book

PROJECT_LOCK = 0x6169
ORDERED = "conflict.ordered"  # the ledger's word: the task runs alone over its repository
EVERYTHING = {"resource": "repo:**", "mode": "write"}


def scopes_take(book: Book, task_id: int, scopes: Sequence[Mapping[str, Any]]) -> str:
    """Take the leases; returns "" or, when something is held, one sentence that names the holder."""
    if _runs_alone(book, task_id):
        scopes = [*(s for s in scopes if s["resource"] != "repo:**"), EVERYTHING]
    wanted = [(s["resource"], s.get("mode", "write") == "write") for s in scopes]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PROJECT_LOCK, book.project_id])
    held = (
        ScopeLease.objects.filter(project_id=book.project_id, space=book.repository)
        .exclude(task_id=task_id)
        .select_related("task")
    )
    for lease in held:
        for resource, exclusive in wanted:
            if (exclusive or lease.exclusive) and resources_overlap(resource, lease.resource):
                return (
                    f"waits for {resource}: {lease.resource} is held by"
                    f" {lease.task.goal_id}/{lease.task.key}"
                )
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


def _runs_alone(book: Book, task_id: int) -> bool:
    """Its changes have lost twice: nothing else is changed while it works."""
    if Task.objects.filter(pk=task_id, attempts_count__lt=3).exists():
        return False
    return LedgerEntry.objects.filter(goal_id=book.goal_id, event=ORDERED, task_id=task_id).exists()


def scopes_release(task_ids: Sequence[int]) -> None:
    ScopeLease.objects.filter(task_id__in=list(task_ids)).delete()


def scoped_waiting(task: Task, reason: str) -> None:
    """Say why a scoped task was not taken; the row's state is not touched."""
    Task.objects.filter(pk=task.pk, state="ready").update(reason=reason)
