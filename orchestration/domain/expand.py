"""A fan-out over the output of an earlier task becomes its children."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentsys.kernel.errors import BadInput
from orchestration.domain.plan import TaskDraft, task_from_json
from orchestration.domain.plan_tools import tool_problems
from orchestration.domain.refs import references, resolve, settled
from workers.policy import grants_of, narrowed, row_of

CHILDREN_MAX = 1000
KEY_CHARS = 110  # of a child's key, so that a number put behind it still fits
LATER = ("inputs", "fan_out", "swarm")  # resolved once more, when the task runs or is expanded
_UNUSABLE = re.compile(r"[^A-Za-z0-9._/-]+")


def expand(
    key: str, fan_out: Mapping[str, Any], items: Any, tools: Sequence[Any] | None = None
) -> list[TaskDraft]:
    """One task per item, with keys `key[item key]`; BadInput when the items are no list.

    `fan_out`: over, as (default `item`), key (a reference into the item), max, task (a template
    in which references to the item are resolved; references to tasks stay). `tools` are the
    fan-out's own, which bound its children's.
    """
    if not isinstance(items, list):
        raise BadInput(
            what=f"fan-out {key}", problems=[f"it goes over a {type(items).__name__}, not a list"]
        )
    most = min(int(fan_out.get("max", CHILDREN_MAX)), CHILDREN_MAX)
    if len(items) > most:
        raise BadInput(
            what=f"fan-out {key}",
            problems=[f"it has {len(items)} items; at most {most} are allowed"],
        )
    name = fan_out.get("as", "item")
    used: set[str] = set()
    children = []
    for index, item in enumerate(items):
        scope = {name: item, "index": index}
        label = resolve(fan_out.get("key", "${index}"), scope)
        row = resolved_row(fan_out["task"], scope)
        short = _label(label, index)[: max(8, KEY_CHARS - len(key))]
        row["key"] = f"{key}[{_unique(short, used)}]"
        problems: list[str] = []
        child = task_from_json(row, f"{key}[{index}]", problems)
        if child is None:
            raise BadInput(what=f"fan-out {key}", problems=problems)
        if problems := tool_problems(child, f"task `{child.key}`"):
            raise BadInput(what=f"fan-out {key}", problems=problems)
        children.append(replace(child, tools=_granted(child, fan_out["task"], tools)))
    return children


def resolved_row(row: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any]:
    """A task's row with what `scope` knows put in; only `inputs`, `fan_out` and `swarm` are resolved
    again later, so that everything else is final here."""
    found = resolve(dict(row), scope, partial=True)
    return {k: v if k in LATER else settled(v) for k, v in found.items()}


def _granted(
    child: TaskDraft, template: Mapping[str, Any], tools: Sequence[Any] | None
) -> tuple[Any, ...] | None:
    """A child's tools: never more than the fan-out's own. What an item says about them came from an
    agent: it may narrow, and cannot waive that a person is asked."""
    own = grants_of(child.tools)
    if own is not None and references(template["tools"]):
        own = tuple(replace(grant, ask=True) for grant in own)
    found = narrowed(grants_of(tools), own)
    if found == () and own != ():
        named = ", ".join(grant.name for grant in own or ())
        problem = f"task `{child.key}` asks for {named}, none of which the fan-out itself is given"
        raise BadInput(what=f"fan-out {child.key}", problems=[problem])
    return None if found is None else tuple(map(row_of, found))


def _label(value: Any, index: int) -> str:
    text = _UNUSABLE.sub("-", str(value)).strip("-./")[:60]
    return text or str(index)


def _unique(label: str, used: set[str]) -> str:
    found, n = label, 2
    while found in used:
        found, n = f"{label}-{n}", n + 1
    used.add(found)
    return found
