"""A team of model agents over real HTTP: planned, coded side by side, verified, merged, while the
provider fails at three calls in ten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentsys.gateway.loopback import Asked, Cut, Loopback, Say, Turn, limited, outage
from orchestration.models import ApprovalRequest, Attempt, Goal, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit
from orchestration.services.ledger import ledger_verify
from tests.acceptance.workers import ENDED, Workers, wait_for
from tests.workers.given import GivenRepository

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

MODULES = ("add", "multiply", "negate")
TESTS = """import unittest
from src import add, multiply, negate


class Arithmetic(unittest.TestCase):
    def test_all(self):
        self.assertEqual(add.run(2, 3), 5)
"""
# Each in ten; together three, and never two in a row, so that no breaker is what is tried here.
FAULTS: dict[int, Turn] = {2: limited(0), 5: outage(503), 8: Cut(Say("lost"), after=40)}


@pytest.fixture
def repository(tmp_path: Path) -> GivenRepository:
    repo = GivenRepository(tmp_path / "repo")
    repo.put("src/__init__.py", "")
    for name in MODULES:
        repo.put(f"src/{name}.py", "def run(a, b=0):\n    return a + b\n")
    repo.put("tests/__init__.py", "")
    repo.put("tests/test_all.py", TESTS)
    repo.commit()
    return repo


def objective(name: str) -> str:
    return f"Document the module src/{name}.py"


def planned() -> dict[str, Any]:
    tasks = [
        {
            "key": name,
            "agent": "model",
            "objective": objective(name),
            "scopes": [{"resource": f"repo:src/{name}.py", "mode": "write"}],
            "verify": ["schema", "safety", "execution"],
        }
        for name in MODULES
    ]
    last = {"key": "sum", "agent": "collect", "objective": "All of it", "depends_on": [*MODULES]}
    return {"objective": "Document it", "tasks": [*tasks, last]}


def answers(asked: Asked) -> Turn:
    """What a model would say, from what it is asked alone."""
    fault = FAULTS.get(asked.number % 10)
    if fault is not None:
        return fault
    if not asked.tools:
        return planned()
    if any(message["role"] == "tool" for message in asked.messages):
        return Say(calls=(("finish", {"text": "documented"}),))
    (name,) = [name for name in MODULES if f"## Your task\n{objective(name)}" in asked.text]
    old, new = "    return a + b\n", f'    """Would {name}."""\n    return a + b\n'
    return Say(calls=(("edit_file", {"path": f"src/{name}.py", "old": old, "new": new}),))


def approve_what_is_asked(goal: Goal, person: User) -> bool:
    """True once the goal is over."""
    for request in ApprovalRequest.objects.filter(goal=goal, state="open"):
        approval_decide(request.pk, user=person, decision="approve", reason="read it")
    goal.refresh_from_db()
    return goal.state in ENDED


def test_three_coders_and_their_planner_outlive_a_provider_that_fails_at_three_calls_in_ten(
    workers: Workers, repository: GivenRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = repository.state()
    person = User.objects.create_superuser("ann")
    with Loopback(answers) as server:
        monkeypatch.setenv("AGENTSYS_MODEL", server.model_name())
        monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
        workers.start()
        goal = goal_submit(
            objective="Document the modules", repository=str(repository.path), actor="ann"
        )
        wait_for(lambda: approve_what_is_asked(goal, person), seconds=90, why=workers.said)
        calls = len(server.asked)
    assert goal.state == "succeeded", (goal.reason, workers.said())
    for name in MODULES:
        assert f"Would {name}." in repository.git("show", f"{goal.branch}:src/{name}.py")
    assert repository.state() == before
    needed = 1 + 2 * len(MODULES)
    assert needed < calls <= 1.6 * needed
    assert set(Task.objects.filter(goal=goal).values_list("state", "losses")) == {("done", 0)}
    # What failed was the provider: no attempt was used up by it.
    assert Attempt.objects.filter(goal=goal, state="rejected").count() == 0
    assert all(t.attempts_count - t.attempts_forgiven == 1 for t in goal.tasks.all())
    assert fsck(goal.pk, deep=True) == []
    assert ledger_verify(goal.pk) == []
