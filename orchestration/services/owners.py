"""Reading a project's table of owners, and who else owns what a proposed change touches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from agentsys.kernel.errors import AgentsysError
from orchestration.domain.owners import Owned, by_rank, covers, is_foreign, owner_of, owners_within
from orchestration.models import ApprovalRequest, Project, Proposal, Scope, Task
from workers.contracts import Owner
from workers.git import Repository
from workers.services import agent_info


@dataclass(frozen=True, slots=True)
class Touched:
    """A path that a change touches, or a resource that an action reaches, and the row that rules it."""

    path: str
    owner: Owned


def owners_of(project_id: int) -> tuple[Owned, ...]:
    rows = Scope.objects.filter(project_id=project_id).order_by("pk")
    return tuple(Owned(r.resource, r.role, r.exclusive) for r in rows)


def owners_named(project: str) -> tuple[Owned, ...]:
    """Of a project that may not be there yet."""
    rows = Scope.objects.filter(project__name=project).order_by("pk")
    return tuple(Owned(r.resource, r.role, r.exclusive) for r in rows)


def role_of(agent: str) -> str:
    """The role of an agent; "" for one that is gone."""
    known = agent_info().get(agent)
    return known.role if known else ""


def owners_told(project_id: int, agent: str, definition: Mapping[str, Any]) -> tuple[Owner, ...]:
    """The rows that say which paths the task's agent must leave to others, the one that rules first;
    none where it need not. Where a person decides on all that the task changes, they do so in the
    owner's name."""
    if (definition.get("approval") or {}).get("required"):
        return ()
    rows = [o for o in by_rank(owners_of(project_id)) if o.resource.startswith("repo:")]
    role = role_of(agent)
    told = [Owner(o.resource, o.role, o.exclusive and is_foreign(o, agent, role)) for o in rows]
    return tuple(told) if any(o.foreign for o in told) else ()


def foreign_paths(
    owned: Iterable[Owned], paths: Iterable[str], agent: str, *, exclusive: bool = True
) -> list[Touched]:
    """Those paths that somebody else than `agent` owns (exclusively, by default)."""
    owned, role = tuple(owned), role_of(agent)
    found = ((path, owner_of(f"repo:{path}", owned)) for path in paths)
    return [
        Touched(path, owner)
        for path, owner in found
        if owner is not None
        and is_foreign(owner, agent, role)
        and (owner.exclusive or not exclusive)
    ]


def foreign_to(proposal: Proposal, task: Task, repository: str, project_id: int) -> list[Touched]:
    """What others own exclusively of a proposed change, looked at in the commit and not believed, or
    of what an action reaches."""
    if proposal.kind == "action":
        return foreign_reached(project_id, task.agent, task.definition, proposal.payload)
    owned = [o for o in owners_of(project_id) if o.resource.startswith("repo:")]
    if proposal.kind != "change" or not repository or not any(o.exclusive for o in owned):
        return []
    commit, base = proposal.payload.get("commit") or "", proposal.payload.get("base") or ""
    try:
        paths = Repository.open(repository).changed_paths(base, commit)
    except AgentsysError:
        return []  # nothing that could be merged either
    return foreign_paths(owned, paths, task.agent)


def person_approved(proposal_id: int) -> bool:
    return ApprovalRequest.objects.filter(
        proposal_id=proposal_id, kind="proposal", state="approved"
    ).exists()


# --- Actions -------------------------------------------------------------------------------------


def reached(definition: Mapping[str, Any], payload: Mapping[str, Any]) -> list[str]:
    """What an action is about: the one resource that it declares, or else all that its task may write
    but files."""
    if payload.get("resource"):
        return [payload["resource"]]
    return [name for name in _writes(definition) if not name.startswith("repo:")]


def _writes(definition: Mapping[str, Any]) -> list[str]:
    scopes = definition.get("scopes") or ()
    return [scope["resource"] for scope in scopes if scope.get("mode", "write") == "write"]


def foreign_reached(
    project_id: int, agent: str, definition: Mapping[str, Any], payload: Mapping[str, Any]
) -> list[Touched]:
    """What an action reaches that others own exclusively."""
    owned, role = owners_of(project_id), role_of(agent)
    return [
        Touched(resource, owner)
        for resource in reached(definition, payload)
        for owner in owners_within(resource, owned)
        if owner.exclusive and is_foreign(owner, agent, role)
    ]


def action_problem(
    project_id: int, agent: str, definition: Mapping[str, Any], payload: Mapping[str, Any]
) -> str:
    """Why an action cannot be proposed at all; "" where a person may decide on it."""
    declared = payload.get("resource")
    if declared and not any(covers(wide, declared) for wide in _writes(definition)):
        named = ", ".join(_writes(definition)) or "none"
        return (
            f"it is about {declared}, for which its task has no write scope ({named}), so that others"
            " may be at it meanwhile; give the task that scope"
        )
    foreign = foreign_reached(project_id, agent, definition, payload)
    if not foreign:
        return ""
    roles = sorted({touched.owner.role for touched in foreign})
    if len(roles) > 1:
        return f"it may reach what {' and '.join(roles)} own each; name the one `resource` that it is about"
    policy = Project.objects.values_list("policy", flat=True).get(pk=project_id)
    if policy.get("foreign_actions", "ask") != "refuse":
        return ""
    return (
        f"{foreign[0].path} belongs to {roles[0]}, who owns {foreign[0].owner.resource}, and this project"
        f" refuses actions on what others own; leave it to a task for {roles[0]}"
    )


def decided_for_owners(proposal: Proposal, foreign: Sequence[Touched]) -> bool:
    """Whether an approval of this action was asked of those who own now what it reaches. One that a
    person edited goes by the request about what it was before."""
    asked = ApprovalRequest.objects.filter(
        Q(proposal=proposal) | Q(proposal__state="withdrawn"),
        attempt_id=proposal.attempt_id,
        kind="proposal",
        state="approved",
    )
    roles = {touched.owner.role for touched in foreign}
    return any(roles <= set(given) for given in asked.values_list("roles", flat=True))
