"""Rows for tests of the core: a running goal with a DAG of tasks, straight into the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils import timezone

from agentsys.kernel.hashing import digest
from orchestration.models import Attempt, Budget, Dependency, Goal, Plan, Project, Task


def running_goal(
    edges: Mapping[str, Sequence[str]],
    *,
    agent: str = "noop",
    lane: str = "cheap",
    **fields: object,
) -> Goal:
    """A running goal whose tasks are the keys of `edges`; the values are what each needs."""
    project, _ = Project.objects.get_or_create(name="default")
    contract = {"objective": "test"}
    goal = Goal.objects.create(
        project=project,
        objective="test",
        contract=contract,
        contract_hash=digest(contract),
        state="running",
        started_at=timezone.now(),
        **fields,
    )
    Budget.objects.create(goal=goal)
    plan = Plan.objects.create(
        goal=goal, version=1, planner="test", document={"tasks": []}, document_hash="x"
    )
    definition = {"objective": "t", "inputs": {}, "verify": ["schema"]}
    ids = {}
    for key, needs in edges.items():
        ids[key] = Task.objects.create(
            goal=goal,
            plan=plan,
            key=key,
            agent=agent,
            lane=lane,
            definition=definition,
            definition_hash=digest(definition),
            unmet=len(needs),
        )
    for key, needs in edges.items():
        for need in needs:
            Dependency.objects.create(task=ids[key], needs=ids[need])
    return goal


def task_of(goal: Goal, key: str) -> Task:
    return Task.objects.get(goal=goal, key=key)


def queue_roots(goal: Goal) -> None:
    """Make the roots ready with a queued attempt each, as starting a plan does."""
    for task in Task.objects.filter(goal=goal, unmet=0, state="blocked"):
        task.state, task.attempts_count = "ready", 1
        task.save(update_fields=["state", "attempts_count"])
        Attempt.objects.create(
            task=task, goal=goal, number=1, lineage=f"t{task.pk}.1", lane=task.lane
        )
