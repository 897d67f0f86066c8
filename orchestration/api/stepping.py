"""The password once more, where a browser's session asks the API for what cannot be undone.

A token has scopes and no password: nothing is asked of it. What is risky, `services.stepup` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from orchestration.models import ApprovalRequest, Goal, Project
from orchestration.services import stepup


def password_for(request: Request, what: str) -> None:
    """403 `password-needed` to a session whose password was given too long ago. `what`: "to do this"."""
    if not isinstance(request.successful_authenticator, SessionAuthentication):
        return
    try:
        stepup.fresh_needed(request.session, what)
    except stepup.PasswordNeeded as error:
        where = f"{error}; give it at {reverse('console-password')}"
        raise PermissionDenied(where, code="password_needed") from error


def password_to_decide(request: Request, approval_id: int, decision: str) -> None:
    """A request that is not there is somebody else's to refuse."""
    rows = ApprovalRequest.objects.select_related("proposal")
    found = rows.filter(pk=approval_id).first()
    if found is not None and stepup.decision_is_risky(found, decision):
        password_for(request, f"to {decision} {found}")


def password_to_spend(request: Request, kind: str, pk: int, limits: Mapping[str, Any]) -> None:
    """`kind`: project, whose limits are its policy, or goal or task, which may have what it gives."""
    if kind != "project":
        rows = Goal.objects.select_related("project")
        of = rows.filter(pk=pk) if kind == "goal" else rows.filter(tasks__pk=pk)
        if not any(stepup.budget_is_risky(goal, limits) for goal in of):
            return
    password_for(request, f"to give {kind}-{pk} more")


def password_to_submit(request: Request, project: str, limits: Mapping[str, Any]) -> None:
    """A goal begins with no more than it may be given later without a password."""
    if stepup.limits_are_risky(Project.objects.filter(name=project).first(), limits):
        password_for(request, "to hand in a goal with such limits")
