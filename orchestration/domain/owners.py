"""Who owns a resource, and what that means for a plan, a change and a conflict.

A project's table says which role owns which pattern. The most specific pattern that a resource falls
under rules. A role is the name of an agent, or the role that agents have in common. What is owned
exclusively, others may only change where a person approves it in the owner's name; what is shared,
everybody may, but in a conflict the owner's change wins.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestration.domain.plan import PROBLEMS_MAX, TaskDraft
from orchestration.domain.scopes import literal_head, matches, resources_overlap, segments_of

WILD = re.compile(r"[*?]")
RESOURCE = re.compile(r"^[a-z][a-z0-9_-]*:\S.*$")


class Named(Protocol):
    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Owned:
    resource: str
    role: str
    exclusive: bool = True


def owner_of(resource: str, owned: Iterable[Owned]) -> Owned | None:
    """The row that rules the concrete `resource`."""
    return max((o for o in owned if matches(o.resource, resource)), key=_rank, default=None)


def by_rank(owned: Iterable[Owned]) -> list[Owned]:
    """In such an order that the first whose pattern a resource falls under rules it."""
    return sorted(owned, key=_rank, reverse=True)


def owner_over(pattern: str, owned: Iterable[Owned]) -> Owned | None:
    """The row that rules all that `pattern` can mean; None when only a part of it is owned."""
    return max((o for o in owned if covers(o.resource, pattern)), key=_rank, default=None)


def owners_within(pattern: str, owned: Iterable[Owned]) -> list[Owned]:
    """The rows that rule anything that `pattern` can mean: the one over all of it, and each that is
    over a part."""
    owned = tuple(owned)
    over = owner_over(pattern, owned)
    parts = (o for o in owned if resources_overlap(o.resource, pattern))
    return [o for o in parts if o == over or not covers(o.resource, pattern)]


def is_foreign(owner: Owned | None, agent: str, role: str) -> bool:
    """Whether somebody else owns it."""
    return owner is not None and owner.role not in (agent, role)


def covers(wide: str, narrow: str) -> bool:
    """Does every resource that `narrow` can mean fall under `wide`? A path without wildcards does when
    it itself does, or all below it; for the rest False when in doubt."""
    kind_w, _, path_w = wide.partition(":")
    kind_n, _, path_n = narrow.partition(":")
    if not WILD.search(path_n):
        if matches(wide, narrow):
            return True
        path_n = f"{path_n.rstrip('/')}/**"
    return kind_w == kind_n and _covers(segments_of(path_w), segments_of(path_n))


def _covers(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    if not wide or not narrow:
        return not narrow and all(segment == "**" for segment in wide)
    if wide[0] == "**":
        return len(wide) == 1 or _covers(wide[1:], narrow) or _covers(wide, narrow[1:])
    if narrow[0] == "**":
        return False
    same = wide[0] in ("*", narrow[0])
    return same and _covers(wide[1:], narrow[1:])


def _rank(owned: Owned) -> tuple[int, int, int, str]:
    """How specific a pattern is: the longer its fixed beginning, and the less that is left open."""
    path = owned.resource.partition(":")[2]
    fixed = len(WILD.sub("", path))
    return len(literal_head(owned.resource)), int(not WILD.search(path)), fixed, owned.resource


def owner_problems(
    tasks: Sequence[TaskDraft], agents: Mapping[str, Named], owned: Collection[Owned]
) -> list[str]:
    """Tasks that would write what somebody else owns, without a person's approval for the owner."""
    exclusive = [o for o in owned if o.exclusive]
    if not exclusive:
        return []
    problems: list[str] = []
    for task in tasks:
        known = agents.get(task.agent)
        if known is None or (task.approval or {}).get("required") or len(problems) > PROBLEMS_MAX:
            continue
        for scope in task.scopes:
            owner = owner_over(scope["resource"], owned)
            reads = scope.get("mode", "write") == "read"
            if reads or owner is None or not owner.exclusive:
                continue
            if is_foreign(owner, task.agent, known.role):
                problems.append(
                    f"task `{task.key}` ({task.agent}, role {known.role}) writes"
                    f" {scope['resource']}, but {owner.role} owns {owner.resource}; give it to an"
                    f" agent of that name or role, narrow its scope, or set `approval` to"
                    f' {{"required": true}}, so that a person decides for {owner.role}'
                )
    return problems


def owned_problems(resource: str, role: str) -> dict[str, str]:
    """What is wrong with a row of the table, by field."""
    problems = {}
    if not RESOURCE.match(resource):
        problems["resource"] = (
            f"`{resource}` is not kind:path; expected a pattern such as repo:src/auth/** or deploy:*"
        )
    elif "\\" in resource or ".." in resource.partition(":")[2].split("/"):
        problems["resource"] = (
            f"`{resource}` must not have `..` or backslashes; name the path itself"
        )
    if not role.strip() or role != role.strip():
        problems["role"] = f"`{role}` is no role; expected the name or the role of an agent"
    return problems
