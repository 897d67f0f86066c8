"""Which tasks of a plan would write the same thing at the same time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from orchestration.domain.graph import ancestors_of, order_of
from orchestration.domain.plan import PROBLEMS_MAX, TaskDraft
from orchestration.domain.scopes import literal_head, resources_overlap


def scope_problems(tasks: Sequence[TaskDraft], needs: Mapping[str, Collection[str]]) -> list[str]:
    """Write scopes that overlap among tasks that may run together.

    Only those are compared whose literal heads begin one another and of which none is above the
    other, both as bit sets: linear in the tasks unless many that are unordered name one place.
    """
    scoped = [t for t in tasks if any(s.get("mode", "write") == "write" for s in t.scopes)]
    if len(scoped) < 2:
        return []
    at = {key: i for i, key in enumerate(order_of(needs))}
    scoped.sort(key=lambda t: at[t.key])  # who comes later cannot be above
    upper = ancestors_of(needs, [t.key for t in scoped])
    problems: list[str] = []
    for i, near in enumerate(_near(scoped)):
        for j in _bits(near & ~upper[scoped[i].key]):
            if pair := _overlap(scoped[j], scoped[i]):
                a, b = scoped[j].key, scoped[i].key
                problems.append(
                    f"tasks `{a}` and `{b}` may run together and both write"
                    f" ({pair[0]} and {pair[1]} overlap); make one depend on the other, or"
                    " narrow a scope"
                )
            if len(problems) >= PROBLEMS_MAX:
                return problems
    return problems


def _near(scoped: Sequence[TaskDraft]) -> Iterator[int]:
    """For each task, as bits, those before it whose literal heads begin its own or begin with it."""
    ending: dict[tuple[str, ...], int] = {}  # head → the tasks that have it
    within: dict[tuple[str, ...], int] = {}  # head → the tasks whose head begins with it
    for i, task in enumerate(scoped):
        near = 0
        heads = {literal_head(s["resource"]) for s in task.scopes}
        for head in heads:
            near |= within.get(head, 0)
            for size in range(1, len(head)):
                near |= ending.get(head[:size], 0)
        yield near
        for head in heads:
            ending[head] = ending.get(head, 0) | 1 << i
            for size in range(1, len(head) + 1):
                within[head[:size]] = within.get(head[:size], 0) | 1 << i


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _overlap(a: TaskDraft, b: TaskDraft) -> tuple[str, str] | None:
    for mine in a.scopes:
        for theirs in b.scopes:
            writes = "write" in (mine.get("mode", "write"), theirs.get("mode", "write"))
            if writes and resources_overlap(mine["resource"], theirs["resource"]):
                return mine["resource"], theirs["resource"]
    return None
