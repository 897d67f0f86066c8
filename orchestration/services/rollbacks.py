"""Taking back what was merged: a new goal on the same branch, whose change is a proposal like any other.

History is never rewritten. The change is made from the branch as it is, verified, approved by a person,
and merged; whatever was built upon it since either goes with that or refuses it. A setting gets its old
value back in the same way, unless it was changed again.
"""

from __future__ import annotations

import fnmatch
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from agentsys.kernel.errors import BadInput, NotFound
from agentsys.kernel.hashing import digest
from orchestration.models import Goal, Proposal, Task
from orchestration.services.configuring import KIND
from orchestration.services.goals import goal_submit
from workers.git import Repository

SCOPES_MAX = 100  # of a task; beyond that its scope is the whole repository
TESTS = ("test_*", "*_test.*", "conftest.py")


def task_rollback(goal_id: int, key: str, *, actor: str, reason: str) -> Goal:
    """A goal that takes back what the task's changes brought, the last one first. NotFound; BadInput
    when nothing of it was merged."""
    task = Task.objects.filter(goal_id=goal_id, key=key).order_by("pk").last()
    if task is None:
        raise NotFound(kind="task", id=f"{goal_id}/{key}", listing=f"goals show {goal_id}")
    goal = Goal.objects.select_related("project").get(pk=goal_id)
    merged = [
        proposal
        for proposal in Proposal.objects.filter(task=task, state="applied")
        .order_by("-applied_at", "-pk")
        .select_related("task", "goal")
        if proposal.kind == KIND or (proposal.result or {}).get("commit")
    ]
    if not merged:
        problem = (
            f"no change of it was merged, and no setting was changed (it is {task.state}); only those"
            " can be taken back"
        )
        raise BadInput(what=f"{goal_id}/{key}", problems=[problem])
    tasks = [_node(proposal, number, reason) for number, proposal in enumerate(merged, 1)]
    for before, after in pairwise(tasks):
        after["depends_on"] = [before["key"]]
    return goal_submit(
        objective=f"Take back {goal_id}/{key}: {reason}"[:500],
        document={"objective": f"Take back {goal_id}/{key}", "tasks": tasks},
        project=goal.project.name,
        repository=goal.repository,
        branch=goal.branch,
        actor=actor,
    )


def _node(proposal: Proposal, number: int, reason: str) -> dict[str, Any]:
    if proposal.kind == KIND:
        return _setting_node(proposal, number, reason)
    repository = Repository.open(proposal.goal.repository)
    merge = str((proposal.result or {})["commit"])
    paths = repository.changed_paths(repository.resolve(f"{merge}^1"), merge)
    few = [f"repo:{path}" for path in paths] if len(paths) <= SCOPES_MAX else ["repo:**"]
    # Tests that came with the change go with it, which those who count them must refuse.
    judges = ["schema", "safety", *([] if _has_tests(paths) else ["execution"])]
    return {
        "key": f"rollback-{number}",
        "agent": "coder",
        "objective": f"Take back proposal-{proposal.pk} ({proposal.title}): {reason}"[:2000],
        "inputs": {"revert": merge, "title": f"Take back: {proposal.title}"[:200]},
        "scopes": [{"resource": resource} for resource in few],
        "verify": judges,
        "approval": {"required": True},
    }


def _setting_node(proposal: Proposal, number: int, reason: str) -> dict[str, Any]:
    """The old value again, where the setting still is what this made of it."""
    changed = proposal.payload
    setting = {
        "name": changed["setting"],
        "value": changed["old"],
        "why": reason,
        "base": digest(changed["new"]),
    }
    return {
        "key": f"rollback-{number}",
        "agent": "devops",
        "objective": f"Take back {proposal} ({proposal.title}): {reason}"[:2000],
        "inputs": {"setting": setting},
    }


def _has_tests(paths: list[str]) -> bool:
    names = [PurePosixPath(path).name for path in paths]
    return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in TESTS)
