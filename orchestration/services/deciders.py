"""Who may decide an open request, asked of many rows at once.

The same rules as `approvals.approval_decide` checks for one: an approver of the project, of the
roles that the request names, not who asked where four eyes are wanted, and once a person. The
service has the last word; this is for lists that show what waits for the one who looks.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q

from orchestration.domain.configuration import VERIFICATION
from orchestration.models import Decision, Membership
from orchestration.services.approvals import DECIDERS
from orchestration.services.configuring import KIND, PROJECT_ADMIN

NOTHING = Q(pk__in=[])


def decidable_by(user: Any) -> Q:
    """Which of the requests `user` may decide now. Costs two statements, however many there are."""
    if not isinstance(user, User) or not user.is_active:
        return NOTHING
    decided = Decision.objects.filter(request=OuterRef("pk"), user=user)
    own = Q(four_eyes=True, requested_by=user.get_username())
    open_to_all = Q(state="open") & ~own & Q(~Exists(decided))
    if user.is_superuser:
        return open_to_all
    projects = _projects(user)
    entitled = NOTHING
    for role in sorted(set(projects.values())):
        where = [pk for pk, held in projects.items() if held == role]
        entitled |= Q(goal__project__in=where) & _of_the_roles(user, role) & _settings(role)
    return open_to_all & entitled


def projects_decided(user: User) -> list[int] | None:
    """The projects that this person decides in; None: in all of them."""
    return None if user.is_superuser else list(_projects(user))


def _projects(user: User) -> dict[int, str]:
    """The projects that this person decides in, each with the role there."""
    everywhere = user.has_perm("agentsys_orchestration.decide_approval")
    rows = Membership.objects.filter(user=user).values_list("project_id", "role")
    return {project: role for project, role in rows if everywhere or role in DECIDERS}


def _of_the_roles(user: User, role: str) -> Q:
    found = Q(roles=[]) | Q(roles__contains=[role])
    if role == PROJECT_ADMIN:
        found |= Q(escalated_at__isnull=False)
    for name in user.groups.values_list("name", flat=True):
        found |= Q(roles__contains=[name])
    return found


def _settings(role: str) -> Q:
    """A change of a setting is for the project's administrators, that of verification for nobody here."""
    if role != PROJECT_ADMIN:
        return Q(proposal__isnull=True) | ~Q(proposal__kind=KIND)
    return Q(proposal__isnull=True) | ~Q(
        proposal__kind=KIND, proposal__payload__setting=VERIFICATION
    )
