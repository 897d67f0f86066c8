"""A change that lost begins anew, then runs alone, then is a person's matter; nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestration.models import Goal, Proposal, ScopeLease
from orchestration.services import reads
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.proposals import proposal_apply
from orchestration.services.rebuild import rebuild_check
from orchestration.services.running import task_serve
from tests.orchestration.planted import learning, repository_with, writes
from tests.orchestration.pump import asked_about, attempt_of, judge, pump, submit, task_named
from tests.orchestration.test_scopes import take
from tests.workers.given import GivenRepository

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _learning() -> Iterator[None]:
    with learning():
        yield


@pytest.fixture
def given(tmp_path: Path) -> GivenRepository:
    return repository_with(
        GivenRepository(tmp_path / "repo"), {"a.py": "a = 1\n", "b.py": "b = 1\n"}
    )


def a_goal(given: GivenRepository, *more: dict[str, Any], **rest: Any) -> Goal:
    rest.setdefault("verify", ["schema", "safety"])
    return submit(writes("change", {"a.py": "a = 2\n"}, **rest), *more, repository=str(given.path))


def work(goal: Goal, key: str = "change") -> Proposal:
    task = task_named(goal, key)
    assert task_serve(task.pk, task.fence) == "done"
    judge(goal)
    return Proposal.objects.filter(task=task).latest("pk")


def overtaken(given: GivenRepository, goal: Goal, number: int) -> Proposal:
    """The task's change loses: a person has committed to the same line meanwhile."""
    proposal = work(goal)
    given.git("checkout", "-q", "--detach", goal.branch)
    given.put("a.py", f"a = {90 + number}\n")
    given.commit("by a person")
    given.git("update-ref", f"refs/heads/{goal.branch}", "HEAD")
    given.git("checkout", "-q", "main")
    assert proposal_apply(proposal.pk) == "stale"
    return proposal


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert rebuild_check(goal.pk) == []


def test_the_first_conflict_begins_anew_from_the_new_base(given: GivenRepository) -> None:
    goal = a_goal(given)
    overtaken(given, goal, 1)
    told = goal.ledger.get(event="conflict.merge").payload
    assert (told["time"], told["paths"]) == (1, ["a.py"])
    assert told["winner"].startswith("commit ")  # no proposal made it
    assert not goal.ledger.filter(event="conflict.ordered").exists()
    assert pump(goal).state == "succeeded"
    assert given.git("show", f"{goal.branch}:a.py") == "a = 2"
    whole(goal)


def test_the_second_conflict_lets_the_task_run_alone_until_it_is_merged(
    given: GivenRepository,
) -> None:
    beside = writes("beside", {"b.py": "b = 2\n"}, verify=["schema", "safety"])
    goal = a_goal(given, beside)
    overtaken(given, goal, 1)
    overtaken(given, goal, 2)
    assert goal.ledger.filter(event="conflict.ordered").count() == 1
    assert "alone" in task_named(goal, "change").reason
    assert take(goal, "change")
    held = ScopeLease.objects.filter(task__key="change")
    assert {lease.resource for lease in held} == {"repo:a.py", "repo:**"}
    assert not take(goal, "beside")
    assert task_named(goal, "beside").reason == (
        f"waits for repo:b.py: repo:** is held by {goal.pk}/change"
    )
    whole(goal)


def test_a_task_that_runs_alone_waits_until_nobody_else_changes_anything(
    given: GivenRepository,
) -> None:
    goal = a_goal(given, writes("beside", {"b.py": "b = 2\n"}, verify=["schema", "safety"]))
    overtaken(given, goal, 1)
    overtaken(given, goal, 2)
    assert take(goal, "beside")
    assert not take(goal, "change")
    assert task_named(goal, "change").reason.endswith(f"is held by {goal.pk}/beside")


def test_the_second_conflict_of_a_task_that_may_be_divided_is_given_to_a_planner(
    given: GivenRepository,
) -> None:
    goal = a_goal(given, retry={"attempts_max": 5, "on_exhausted": "replan"})
    overtaken(given, goal, 1)
    overtaken(given, goal, 2)
    assert goal.ledger.get(event="replan.decided").payload["allowed"]
    assert task_named(goal, "change.plan").agent == "planner"


def test_the_third_conflict_is_a_persons(given: GivenRepository) -> None:
    goal = a_goal(given)
    lost = [overtaken(given, goal, number) for number in (1, 2, 3)]
    asked = asked_about(goal)
    assert (asked.kind, task_named(goal, "change").state) == ("question", "held")
    assert "3 times" in asked.question
    assert "a.py" in asked.question
    whole(goal)
    root = User.objects.create_superuser("root")
    approval_decide(asked.pk, user=root, decision="approve")
    assert pump(goal).state == "succeeded"
    assert given.git("show", f"{goal.branch}:a.py") == "a = 2"
    told = reads.task_view(task_named(goal, "change").pk)["proposals"]
    assert [row["state"] for row in told] == ["stale", "stale", "stale", "applied"]
    for proposal in lost:
        proposal.refresh_from_db()
        assert (proposal.state, "a.py" in proposal.reason) == ("stale", True)
        given.git("cat-file", "-e", proposal.payload["commit"])
    whole(goal)


def test_a_conflict_of_a_task_without_patience_is_a_persons(given: GivenRepository) -> None:
    goal = a_goal(given, retry={"attempts_max": 1})
    overtaken(given, goal, 1)
    assert asked_about(goal).kind == "question"
    assert attempt_of(goal, "change").state == "rejected"
