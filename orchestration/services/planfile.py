"""The plan in force as a plan file: what `plans revise` takes, to be edited and handed in again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentsys.kernel.errors import NotFound
from agentsys.kernel.hashing import plain
from orchestration.domain.plan import TaskDraft
from orchestration.models import Goal, Plan
from orchestration.services.ledger import goal_locked
from orchestration.services.reads import found
from orchestration.services.replan import standing_of


@dataclass(frozen=True, slots=True)
class PlanFile:
    """`version` is the one in force when it was read: the `--base` of a revision of it."""

    goal: int
    version: int
    document: dict[str, Any]


def plan_file(goal_id: int) -> PlanFile:
    """Every edit, addition and fan-out is in it; children of fan-outs are not, for they come again
    by themselves. Raises NotFound, also for a goal that has no plan yet."""
    goal: Goal = found(Goal.objects, "goal", goal_id)
    with goal_locked(goal_id):  # one moment: the version is that of the tasks
        active = _in_force(goal_id)
        standing = standing_of(goal_id)
    tasks = [_row(task.draft) for task in standing.values() if task.parent is None]
    return PlanFile(goal_id, active.version, {"objective": goal.objective, "tasks": tasks})


def _in_force(goal_id: int) -> Plan:
    active = Plan.objects.filter(goal_id=goal_id, state="active").order_by("version").last()
    if active is None:
        raise NotFound(kind="plan", id=f"of goal-{goal_id}", listing=f"goals show {goal_id}")
    return active


def _row(draft: TaskDraft) -> dict[str, Any]:
    when = {
        "phase": draft.phase,
        "priority": draft.priority,
        "depends_on": list(draft.depends_on),
    }
    said = {name: value for name, value in when.items() if value}
    return dict(plain({"key": draft.key, "agent": draft.agent, **draft.definition(), **said}))
