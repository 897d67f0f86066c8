"""Done twice, a thing takes fewer steps: real workers, the playbook that ships, and a model over HTTP."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from agentsys.gateway.loopback import Asked, Loopback, Say, Turn
from memory import services as memory
from orchestration.models import ApprovalRequest, Goal, Plan, Project, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.experience import goal_steps
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit
from tests.acceptance.workers import ENDED, Workers, wait_for
from tests.workers.given import GivenRepository

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

# Lint would take `json` away, which a test asks for: execution refuses that attempt.
HELLO = """import sys
import os
import json


def hello():
    return os.sep + sys.byteorder
"""
TESTS = """import unittest
from greet import hello


class Hello(unittest.TestCase):
    def test_it(self):
        self.assertEqual(hello.json.dumps([]), "[]")
"""


@pytest.fixture
def ann() -> User:
    return User.objects.create_superuser("ann")


def run(goal: Goal, person: User, workers: Workers) -> Goal:
    """To its end, with what is asked approved, and wrapped up."""

    def over() -> bool:
        for request in ApprovalRequest.objects.filter(goal=goal, state="open").exclude(
            kind="playbook"
        ):
            approval_decide(request.pk, user=person, decision="approve", reason="read it")
        goal.refresh_from_db()
        return goal.state in ENDED and goal.publish_due_at is None and not goal.reflect_due_at

    wait_for(over, seconds=90, why=workers.said)
    assert goal.state == "succeeded", (goal.reason, workers.said())
    assert fsck(goal.pk, deep=True) == []
    return goal


def plan_of(goal: Goal) -> Plan:
    return Plan.objects.get(goal=goal, version=1)


def told(*words: str) -> Any:
    out = StringIO()
    call_command("memory", *words, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def test_the_same_care_again_finds_its_playbook_and_does_not_repeat_what_was_refused(
    workers: Workers, ann: User, tmp_path: Path
) -> None:
    repository = GivenRepository(tmp_path / "repo")
    repository.put("greet/__init__.py", "")
    repository.put("greet/hello.py", HELLO)
    repository.put("tests/__init__.py", "")
    repository.put("tests/test_hello.py", TESTS)
    repository.commit()
    workers.start()
    goals = [
        run(goal_submit(objective=f"Take care of {repository.path}", actor="ann"), ann, workers)
        for _ in range(2)
    ]
    for goal in goals:  # a sentence, no playbook was named, and there is no model
        assert (plan_of(goal).planner, plan_of(goal).document["playbook"]) == (
            "playbook",
            "repo-care",
        )
        changed = repository.git("show", f"{goal.branch}:greet/hello.py")
        assert changed.index("import json") < changed.index("import os")
    fixed = [
        Task.objects.get(goal=goal, parent__key="fix", key__contains="greet") for goal in goals
    ]
    assert [task.attempts_count for task in fixed] == [2, 1]
    first, second = (goal_steps(goal.pk) for goal in goals)
    assert second < first
    (shown,) = told("playbooks", "show", "repo-care", "--namespace", goals[0].project.namespace)
    assert [use["steps"] for use in shown["uses"]] == [second, first]
    assert (shown["successes"], shown["failures"]) == (2, 0)


MODULES = ("add", "multiply", "negate")
ADDS = """import unittest
from src import add


class Adds(unittest.TestCase):
    def test_it(self):
        self.assertEqual(add.run(2, 3), 5)
"""


def planned(name: str) -> dict[str, Any]:
    write = {
        "key": "write",
        "agent": "model",
        "objective": f"Document the module src/{name}.py",
        "scopes": [{"resource": f"repo:src/{name}.py", "mode": "write"}],
        "verify": ["schema", "safety", "execution"],
    }
    return {
        "objective": "Document it",
        "tasks": [
            write,
            {"key": "sum", "agent": "collect", "depends_on": ["write"], "objective": "All"},
        ],
    }


def answers(asked: Asked) -> Turn:
    """A planner that needs two tries, and a writer that looks before it edits."""
    before = "## Your task\n" if asked.tools else ""
    told = f"{before}Document the module src/"
    name = next((name for name in MODULES if f"{told}{name}.py" in asked.text), "")
    if not asked.tools:
        if not name:  # it is asked for better words for what was learned
            return {"name": "document-a-module", "description": "Document it", "parameters": {}}
        if "This plan cannot run" in asked.text:
            return planned(name)
        return {**planned(name), "tasks": [{"key": "x", "agent": "nobody", "objective": "no"}]}
    if any(message["role"] == "tool" for message in asked.messages):
        return Say(calls=(("finish", {"text": "documented"}),))
    old, new = "    return a + b\n", f'    """Would {name}."""\n    return a + b\n'
    return Say(calls=(("edit_file", {"path": f"src/{name}.py", "old": old, "new": new}),))


@pytest.mark.parametrize("policy", ["verified", "approved"])
def test_a_kind_of_work_that_a_model_planned_is_done_again_without_planning(
    workers: Workers, ann: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    repository = GivenRepository(tmp_path / "repo")
    repository.put("src/__init__.py", "")
    for name in MODULES:
        repository.put(f"src/{name}.py", "def run(a, b=0):\n    return a + b\n")
    repository.put("tests/__init__.py", "")
    repository.put("tests/test_all.py", ADDS)
    repository.commit()
    Project.objects.create(name="default", policy={"playbooks": policy})
    goals: list[Goal] = []

    def go(name: str) -> Goal:
        words = f"Document the module src/{name}.py"
        goal = goal_submit(objective=words, repository=str(repository.path), actor="ann")
        goals.append(run(goal, ann, workers))
        return goal

    with Loopback(answers) as server:
        monkeypatch.setenv("AGENTSYS_MODEL", server.model_name())
        monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
        workers.start()
        go("add")
        if policy == "approved":  # nothing learned is used before a person has put it in force
            (learned,) = memory.playbooks(goals[0].project.namespace, state="candidate")
            told("playbooks", "use", learned.name, "--namespace", goals[0].project.namespace)
        go("multiply")
        go("negate")
    steps = [goal_steps(goal.pk) for goal in goals]
    assert plan_of(goals[0]).planner == "model"
    assert {plan_of(goal).planner for goal in goals[1:]} == {"playbook"}
    assert steps[0] > steps[1] == steps[2], steps
    for goal, name in zip(goals, MODULES, strict=True):
        assert f"Would {name}." in repository.git("show", f"{goal.branch}:src/{name}.py")
    name = plan_of(goals[1]).document["playbook"]
    (shown,) = told("playbooks", "show", name, "--namespace", goals[0].project.namespace)
    assert (shown["verified"], shown["successes"]) == (True, 2)
