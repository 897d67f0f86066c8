"""Who may see and do what: membership of a project is necessary, a role or a permission suffices.

A superuser may do everything except what nobody may (write the ledger). Anybody else sees the
projects they are a member of and nothing of the others: a foreign goal is not forbidden, it does
not exist. What a member may do follows from the role, widened by Django's own permissions
(`control_goal`, `decide_approval`, `override_verdict`). The API and the console both ask here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from orchestration.models import Goal, Membership

Visitor = Any  # a user or AnonymousUser: the two share no base with what is needed here
M = TypeVar("M", bound=Model)


class Act(StrEnum):
    VIEW = "view"
    CONTROL = "control"  # submit, pause, resume, cancel, retry, prioritise, direct, fork
    DECIDE = "decide"  # answer approval requests
    OVERRULE = "overrule"  # set a verdict aside: no role has this, it is given by permission only


GRANTS: dict[str, frozenset[Act]] = {
    "viewer": frozenset({Act.VIEW}),
    "auditor": frozenset({Act.VIEW}),
    "operator": frozenset({Act.VIEW, Act.CONTROL}),
    "approver": frozenset({Act.VIEW, Act.DECIDE}),
    "admin": frozenset({Act.VIEW, Act.CONTROL, Act.DECIDE}),
}
PERMISSIONS: dict[Act, str] = {
    Act.CONTROL: "agentsys_orchestration.control_goal",
    Act.DECIDE: "agentsys_orchestration.decide_approval",
    Act.OVERRULE: "agentsys_orchestration.override_verdict",
}


def may(user: Visitor, act: Act, project_id: int) -> bool:
    """Whether `user` may do `act` in the project; False for whoever is not a member."""
    if not user.is_active:
        return False
    if user.is_superuser:
        return True
    role = role_in(user, project_id)
    if role is None:
        return False
    return act in GRANTS[role] or (act in PERMISSIONS and user.has_perm(PERMISSIONS[act]))


def role_in(user: Visitor, project_id: int) -> str | None:
    return roles_of(user).get(project_id)


def roles_of(user: Visitor) -> dict[int, str]:
    """The roles of `user` by project; asked once per request."""
    if not user.is_authenticated:
        return {}
    if not hasattr(user, "_agentsys_roles"):
        rows = Membership.objects.filter(user_id=user.pk).values_list("project_id", "role")
        user._agentsys_roles = dict(rows)
    roles: dict[int, str] = user._agentsys_roles
    return roles


def is_member(user: Visitor) -> bool:
    """Whether there is any project that `user` may look into."""
    return bool(user.is_active and (user.is_superuser or visible_projects(user)))


def visible_projects(user: Visitor) -> list[int]:
    return list(roles_of(user))


def scoped(rows: QuerySet[M], user: Visitor, path: str) -> QuerySet[M]:
    """Those of `rows` that hang off a project `user` may see; `path` leads to the project id."""
    if user.is_active and user.is_superuser:
        return rows
    return rows.filter(**{f"{path}__in": visible_projects(user)})


def administered_projects(user: Visitor) -> list[int]:
    return [pk for pk, role in roles_of(user).items() if role == "admin"]


def is_administrator(user: Visitor) -> bool:
    """Whether there is any project that `user` administers."""
    return bool(user.is_active and (user.is_superuser or administered_projects(user)))


def administered(rows: QuerySet[M], user: Visitor, path: str) -> QuerySet[M]:
    """Those of `rows` that hang off a project that `user` administers."""
    if user.is_active and user.is_superuser:
        return rows
    return rows.filter(**{f"{path}__in": administered_projects(user)})


def visible_goals(user: Visitor) -> QuerySet[Goal]:
    return scoped(Goal.objects.all(), user, "project")
