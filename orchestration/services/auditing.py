"""What happened and who decided, over a stretch of time: the ledgers' entries and people's decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from orchestration.models import Decision, LedgerEntry
from orchestration.services.reads import entry_view, iso

ENTRY_COLUMNS = (
    "id", "at", "project", "goal", "seq", "event", "actor", "task", "attempt", "payload",
    "payload_version", "hash",
)  # fmt: skip
DECISION_COLUMNS = (
    "id", "at", "project", "goal", "approval", "kind", "question", "person", "decision", "reason",
    "payload", "action_hash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stretch:
    """`since` ≤ at < `until`; `projects` None is all. Empty text is anything; an event may end with *."""

    since: datetime
    until: datetime
    projects: Sequence[int] | None
    project: str = ""
    actor: str = ""
    event: str = ""
    goal: int | None = None


def entries(asked: Stretch) -> QuerySet[LedgerEntry]:
    """Ledger entries, newest first."""
    rows = LedgerEntry.objects.filter(at__gte=asked.since, at__lt=asked.until)
    rows = _within(rows, asked, "goal")
    if asked.actor:
        rows = rows.filter(actor=asked.actor)
    if asked.event.endswith("*"):
        rows = rows.filter(event__startswith=asked.event.rstrip("*"))
    elif asked.event:
        rows = rows.filter(event=asked.event)
    return rows.select_related("goal__project").defer("goal__contract").order_by("-pk")


def decisions(asked: Stretch) -> QuerySet[Decision]:
    """People's decisions, newest first; `event` is the decision here."""
    rows = Decision.objects.filter(at__gte=asked.since, at__lt=asked.until)
    rows = _within(rows, asked, "request__goal")
    if asked.actor:
        rows = rows.filter(user__username=asked.actor)
    if asked.event:
        rows = rows.filter(decision=asked.event)
    rows = rows.select_related("user", "request__goal__project")
    return rows.defer("request__context", "request__goal__contract").order_by("-pk")


def _within(rows: QuerySet[Any], asked: Stretch, path: str) -> QuerySet[Any]:
    if asked.projects is not None:
        rows = rows.filter(**{f"{path}__project__in": list(asked.projects)})
    if asked.project:
        rows = rows.filter(**{f"{path}__project__name": asked.project})
    return rows.filter(**{path: asked.goal}) if asked.goal is not None else rows


def entry_line(row: LedgerEntry) -> dict[str, Any]:
    """As `entry_view`, with the project and the row's own number."""
    return {"id": row.pk, "project": row.goal.project.name, **entry_view(row)}


def decision_line(row: Decision) -> dict[str, Any]:
    request = row.request
    return {
        "id": row.pk,
        "at": iso(row.at),
        "project": request.goal.project.name,
        "goal": request.goal_id,
        "approval": request.pk,
        "kind": request.kind,
        "question": request.question,
        "person": row.user.get_username(),
        "decision": row.decision,
        "reason": row.reason,
        "payload": row.payload,
        "action_hash": row.action_hash,
    }
