"""What is wrong with the references in a plan's tasks."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from agentsys.kernel.wording import did_you_mean
from orchestration.domain.graph import ancestors_of
from orchestration.domain.plan import TaskDraft
from orchestration.domain.refs import DOLLAR, references, task_of

REF_ROOTS = ("tasks", "goal", "repository")
GOAL_FIELDS = ("id", "branch", "objective")


def reference_problems(
    tasks: Sequence[TaskDraft], needs: Mapping[str, Collection[str]]
) -> list[str]:
    wanted = {t.key: names for t in tasks if (names := references([t.inputs, t.fan_out, t.swarm]))}
    named = sorted({key for names in wanted.values() for n in names if (key := task_of(n))})
    bit = {key: 1 << i for i, key in enumerate(named)}
    upper = ancestors_of(needs, named) if named else {}
    return [
        f"task `{task.key}`: ${{{name}}} {problem}"
        for task in tasks
        for name in sorted(wanted.get(task.key, ()))
        if (problem := _reference_problem(task, name, needs, upper.get(task.key, 0), bit))
    ]


def _reference_problem(
    task: TaskDraft,
    name: str,
    needs: Mapping[str, Collection[str]],
    upper: int,
    bit: Mapping[str, int],
) -> str:
    """What is wrong with one reference; "" when nothing is. `upper`: the tasks above, as bits."""
    if name == DOLLAR:
        return ""
    roots = (*REF_ROOTS, *_item_names(task.fan_out))
    root, *fields = re.split(r"[.\[]", name, maxsplit=2)
    if root not in roots:
        return f"begins with none of {', '.join(roots)}"
    if root == "goal" and (not fields or fields[0] not in GOAL_FIELDS):
        return f"names no field of the goal; there are {', '.join(GOAL_FIELDS)}"
    key = task_of(name)
    if key is None:
        return ""
    if key not in needs:
        return f"names no task{did_you_mean(key, needs)}"
    if not upper & bit[key]:
        return (
            "is a missing input: it comes from a task that this one does not depend on;"
            f" add `{key}` to depends_on"
        )
    return ""


def _item_names(fan_out: Any) -> list[str]:
    """What a fan-out, and those within its template, call their items; [] without one."""
    names: list[str] = []
    while isinstance(fan_out, Mapping):
        names += ["index", str(fan_out.get("as", "item"))]
        template = fan_out.get("task")
        fan_out = template.get("fan_out") if isinstance(template, Mapping) else None
    return [name for name in dict.fromkeys(names) if name not in REF_ROOTS]
