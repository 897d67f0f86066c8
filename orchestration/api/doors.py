"""The doors of the API: what a route points at is found, seen by its project, and allowed.

A row of another project is `not-found`; a row that the caller sees but may not act on is a 403
that names what is needed.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from rest_framework.request import Request

from agentsys.kernel.errors import NotFound
from orchestration.api.access import GRANTS, PERMISSIONS, Act, may, scoped
from orchestration.models import (
    ApprovalRequest,
    Artifact,
    Attempt,
    Delivery,
    Goal,
    Project,
    Proposal,
    Schedule,
    Task,
)

_PATHS: dict[str, tuple[Any, str, str]] = {
    "goal": (Goal, "project_id", "goals list"),
    "task": (Task, "goal__project_id", "goals show GOAL"),
    "attempt": (Attempt, "goal__project_id", "goals show GOAL"),
    "proposal": (Proposal, "goal__project_id", "goals show GOAL"),
    "approval": (ApprovalRequest, "goal__project_id", "inbox list"),
    "artifact": (Artifact, "goal__project_id", "goals show GOAL"),
    "delivery": (Delivery, "goal__project_id", "goals list"),
    "schedule": (Schedule, "project_id", "schedules list"),
}


def enter(user: Any, kind: str, row_id: int, act: Act = Act.VIEW) -> int:
    """The project of the row, when `user` may do `act` there; NotFound or PermissionDenied."""
    model, path, listing = _PATHS[kind]
    project = (
        scoped(model.objects.filter(pk=row_id), user, path).values_list(path, flat=True).first()
    )
    if project is None:
        raise NotFound(kind=kind, id=row_id, listing=listing)
    require(user, act, project)
    return int(project)


def require(user: Any, act: Act, project_id: int) -> None:
    if not may(user, act, project_id):
        raise PermissionDenied(refusal(act))


def refusal(act: Act) -> str:
    roles = sorted(role for role, acts in GRANTS.items() if act in acts)
    ways = [f"one of the roles {', '.join(roles)} in the project"] if roles else []
    ways += [f"the permission {PERMISSIONS[act]}"] if act in PERMISSIONS else []
    return f"this needs {' or '.join(ways)}"


def project_named(user: Any, name: str) -> Project:
    """The project that `user` sees by this name; NotFound."""
    project = scoped(Project.objects.filter(name=name), user, "pk").first()
    if project is None:
        raise NotFound(kind="project", id=name, listing="goals list")
    return project


def person(request: Request) -> User:
    """The caller as a user: decisions are made by people."""
    if not isinstance(request.user, User):
        raise PermissionDenied("sign in first")
    return request.user


def actor(request: Request) -> str:
    return str(request.user.get_username())
