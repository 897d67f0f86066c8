"""Lines of lists that no other read has: proposals, decisions, projects and playbooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Count

from memory import services as memory
from orchestration.models import Artifact, Decision, Delivery, Goal, Project, Proposal
from orchestration.planners.playbooks import playbook_files, playbook_read
from orchestration.services.reads import iso


def proposal_line(row: Proposal) -> dict[str, Any]:
    """Without what it proposes: `reads.proposal_view` has that, with its diff."""
    return {
        "id": row.pk,
        "goal": row.goal_id,
        "task": row.task.key,
        "attempt": row.attempt_id,
        "kind": row.kind,
        "title": row.title,
        "risk": row.risk,
        "state": row.state,
        "reason": row.reason,
        "created_at": iso(row.created_at),
        "decided_at": iso(row.decided_at),
        "applied_at": iso(row.applied_at),
    }


def decision_line(row: Decision) -> dict[str, Any]:
    request = row.request
    return {
        "id": row.pk,
        "approval": request.pk,
        "kind": request.kind,
        "task": request.task.key if request.task else None,
        "person": row.user.get_username(),
        "decision": row.decision,
        "reason": row.reason,
        "payload": row.payload,
        "at": iso(row.at),
    }


def artifact_line(row: Artifact) -> dict[str, Any]:
    return {
        "id": row.pk,
        "attempt_id": row.attempt_id,
        "name": row.name,
        "kind": row.kind,
        "media_type": row.media_type,
        "sha256": row.sha256,
        "size": row.size,
    }


def delivery_line(row: Delivery) -> dict[str, Any]:
    return {
        "id": row.pk,
        "subscription": row.subscription.name,
        "goal": row.goal_id,
        "seq": row.seq,
        "event": row.event,
        "state": row.state,
        "tries": row.tries,
        "due_at": iso(row.due_at),
        "status": row.status,
        "said": row.said,
        "created_at": iso(row.created_at),
        "finished_at": iso(row.finished_at),
    }


def project_lines(rows: Sequence[Project], roles: Mapping[int, str]) -> list[dict[str, Any]]:
    """Projects with the role that somebody has in each, and how many of its goals are open."""
    open_goals = Goal.objects.filter(project__in=rows, finished_at__isnull=True)
    counted = open_goals.values("project").order_by().annotate(n=Count("pk"))
    numbers = {row["project"]: row["n"] for row in counted}
    return [
        {
            "id": row.pk,
            "name": row.name,
            "role": roles.get(row.pk, "superuser"),
            "paused": row.paused_at is not None,
            "paused_reason": row.paused_reason,
            "goals_open": numbers.get(row.pk, 0),
            "created_at": iso(row.created_at),
        }
        for row in rows
    ]


def playbook_lines(projects: Iterable[Project]) -> list[dict[str, Any]]:
    """Playbooks that ship with the installation, then those of each project; with their records. A
    file that was never used has none yet."""
    shared = {view.name: view for view in memory.playbooks("") if not view.namespace}
    lines = []
    for name, path in playbook_files():
        view = shared.pop(name, None)
        definition = playbook_read(path) if view is None else view.definition
        lines.append(_playbook(definition, view, project=None, name=name))
    lines += [_playbook(view.definition, view, project=None) for view in shared.values()]
    for project in projects:
        own = [view for view in memory.playbooks(project.namespace) if view.namespace]
        lines += [_playbook(view.definition, view, project=project.name) for view in own]
    return lines


def _playbook(
    definition: Any, view: memory.PlaybookView | None, *, project: str | None, name: str = ""
) -> dict[str, Any]:
    told = definition if isinstance(definition, Mapping) else {}
    return {
        "name": view.name if view else name,
        "version": view.version if view else 1,
        "origin": view.origin if view else "written",
        "state": view.state if view else "active",
        "project": project,
        "description": str(told.get("description") or ""),
        "parameters": told.get("parameters") or {},
        "successes": view.successes if view else 0,
        "failures": view.failures if view else 0,
    }
