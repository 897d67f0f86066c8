"""What is refused leaves no row; what is taken in is planned, frozen and running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsys.kernel.errors import AgentsysError, BadInput
from orchestration.models import Attempt, Goal, Plan, Project, Task
from orchestration.services.advance import advance
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel, goal_row, goal_submit
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked, ledger_verify
from tests.orchestration.pump import at_once, events, node, pump, row_counts, submit, task_named

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"document": {"objective": "x", "tasks": [node("a", "b"), node("b", "a")]}}, "cycle"),
        ({"document": {"objective": "x", "tasks": [node("a", agent="nop")]}}, "did you mean `noop`"),
        ({"document": {"objective": "x", "tasks": [node("a", "z")]}}, "which is no task"),
        ({"document": {"tasks": [node("a")]}}, "`objective` is missing"),
        ({"document": [], "objective": "x"}, "expected an object"),
        ({"playbook": "repo-cares", "objective": "x"}, "did you mean `repo-care`"),
        ({"playbook": "repo-care", "objective": "x", "params": {"nosuch": 1}}, "`nosuch`"),
        ({"objective": "  "}, "the objective is empty"),
        ({"objective": "x", "priority": 101}, "outside -100 "),
        ({"objective": "x" * 20_001}, "at most 20000"),
        ({"objective": "x", "repository": "/nowhere/at/all"}, "/nowhere/at/all"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_no_row(given: dict[str, Any], said: str) -> None:
    before = row_counts()
    with pytest.raises(AgentsysError) as refused:
        goal_submit(**{"objective": "", "project": "brand-new", "actor": "t", **given})
    assert said in str(refused.value)
    assert row_counts() == before
    assert not Project.objects.filter(name="brand-new").exists()


def test_a_folder_that_is_no_repository_is_refused_without_a_row(tmp_path: Path) -> None:
    before = row_counts()
    with pytest.raises(AgentsysError):
        submit(node("a"), repository=str(tmp_path))
    assert row_counts() == before


def test_a_plan_is_running_with_its_roots_queued_when_submit_returns() -> None:
    goal = submit(node("a"), node("b", "a"))
    assert goal.state == "running"
    assert goal.started_at is not None
    assert [(t.key, t.state, t.unmet) for t in Task.objects.filter(goal=goal).order_by("pk")] == [
        ("a", "ready", 0),
        ("b", "blocked", 1),
    ]
    assert Attempt.objects.get(goal=goal).publish_due_at is not None
    assert events(goal)[:3] == ["goal.submitted", "plan.accepted", "goal.planned"]


def test_a_dag_runs_to_its_end_with_every_need_met_before_its_dependent() -> None:
    goal = pump(submit(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c")))
    assert goal.state == "succeeded"
    for task in Task.objects.filter(goal=goal):
        for edge in task.dependencies.select_related("needs"):
            assert edge.needs.finished_at <= task.started_at
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_outputs_flow_along_references() -> None:
    goal = submit(
        node("a", inputs={"n": 7}),
        node("b", "a", inputs={"got": "${tasks.a.output.echo.n}", "goal": "${goal.id}"}),
    )
    pump(goal)
    report = task_named(goal, "b").accepted_attempt.report
    assert report["output"]["echo"] == {"got": 7, "goal": goal.pk}


def test_a_stored_plan_says_which_agent_does_each_task() -> None:
    goal = submit(node("a", phase="first", priority=2))
    (task,) = Plan.objects.get(goal=goal).document["tasks"]
    assert (task["agent"], task["phase"], task["priority"]) == ("noop", "first", 2)


def test_the_same_key_gives_the_same_goal() -> None:
    first = submit(node("a"), idempotency_key="k1")
    assert submit(node("a"), idempotency_key="k1").pk == first.pk
    assert submit(node("a"), idempotency_key="k1", project="elsewhere").pk != first.pk
    assert submit(node("a")).pk != submit(node("a")).pk


def test_a_key_stands_for_one_thing_to_do() -> None:
    first = submit(node("a"), idempotency_key="k1")
    with pytest.raises(BadInput, match=f"goal-{first.pk} was submitted with this key and another"):
        submit(node("other"), idempotency_key="k1")
    with pytest.raises(BadInput, match="it has 201 characters; at most 200"):
        submit(node("a"), idempotency_key="k" * 201)
    old = goal_row("x", "default", "", "t", 0, None, "k2", None, {}, False)  # before keys stood so
    assert submit(node("other"), idempotency_key="k2").pk == old.pk


def test_the_same_key_at_once_makes_one_goal() -> None:
    def one() -> int:
        return submit(node("a"), node("b", "a"), idempotency_key="once").pk

    found = at_once([one] * 8)
    assert len(set(found)) == 1
    assert Goal.objects.count() == 1
    assert Task.objects.count() == 2


def test_advancing_twice_changes_nothing() -> None:
    goal = submit(node("a"), node("b", "a"))
    for _ in range(2):
        advance(goal.pk)
        length = Goal.objects.get(pk=goal.pk).ledger_seq
    assert advance(goal.pk) == "running"
    assert Goal.objects.get(pk=goal.pk).ledger_seq == length
    assert Attempt.objects.filter(goal=goal).count() == 1
    pump(goal)
    ended = Goal.objects.get(pk=goal.pk)
    assert advance(goal.pk) == "succeeded"
    assert Goal.objects.get(pk=goal.pk).ledger_seq == ended.ledger_seq


def test_nothing_is_claimed_from_a_cancelled_goal() -> None:
    goal = submit(node("a"))
    goal_cancel(goal.pk, actor="me")
    with goal_locked(goal.pk) as book:
        assert claim(book, owner=1, lease_seconds=30, lane="cheap", limit=5) == []
    goal.refresh_from_db()
    assert (goal.state, task_named(goal, "a").state) == ("cancelled", "cancelled")
    assert fsck(goal.pk) == []


def test_a_goal_without_a_plan_and_without_a_model_fails_and_says_how_to_go_on() -> None:
    from orchestration.services.goals import goal_plan

    goal = goal_submit(objective="do something", actor="t")
    assert goal.state == "planning"
    assert goal_plan(goal.pk) == "failed"
    goal.refresh_from_db()
    assert "no plan" in goal.reason
    assert Task.objects.filter(goal=goal).count() == 0
    assert goal_plan(goal.pk) == "failed"
