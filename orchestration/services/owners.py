"""Reading a project's table of owners, and who else owns what a proposed change touches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentsys.kernel.errors import AgentsysError
from orchestration.domain.owners import Owned, by_rank, is_foreign, owner_of
from orchestration.models import ApprovalRequest, Proposal, Scope, Task
from workers.contracts import Owner
from workers.git import Repository
from workers.services import agent_info


@dataclass(frozen=True, slots=True)
class Touched:
    """A path that a change touches, and the row that rules it."""

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
    """What of a proposed change others own exclusively: looked at in the commit, not believed."""
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
