"""How many tasks of a goal run at once, and which model its agents ask: set while it runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentsys.doorbells import doorbells
from agentsys.kernel.errors import BadInput, IllegalMove
from orchestration.models import Attempt, Goal, LedgerEntry, Recovery, Task
from orchestration.services import hotpath
from orchestration.services.briefs import brief_build
from orchestration.services.forks import goal_fork
from orchestration.services.goals import goal_cancel, goal_direct, goal_prioritise
from orchestration.services.ledger import goal_locked
from orchestration.services.limits import budget_set
from orchestration.services.pausing import goal_pause, goal_resume, task_pause, task_resume
from orchestration.services.rebuild import rebuild_check
from orchestration.services.running import serve
from orchestration.services.sessions import session_current
from orchestration.services.steering import goal_concurrency, goal_model
from orchestration.services.why import why
from tests import factories as given
from tests.orchestration.pump import node, pump, row_counts, submit

pytestmark = pytest.mark.django_db(transaction=True)


def claim(goal: Goal, limit: int, lane: str = "cheap") -> list[hotpath.Claimed]:
    owner = session_current().id
    with goal_locked(goal.pk) as book:
        return hotpath.claim(book, owner=owner, lease_seconds=30, lane=lane, limit=limit)


def test_no_more_are_claimed_than_may_run_and_the_others_get_their_turn() -> None:
    goal = submit(*(node(f"n{i}") for i in range(5)))
    goal_concurrency(goal.pk, 2, actor="ada")
    assert len(claim(goal, 10)) == 2
    assert claim(goal, 10) == []
    assert hotpath.goal_next("cheap") is None, "it keeps workers from goals that have room"
    other = submit(node("x"))
    assert hotpath.goal_next("cheap") == other.pk
    assert "2 tasks of its goal may run at once" in why(f"{goal.pk}/n4").sentence
    goal_concurrency(goal.pk, None, actor="ada")
    assert len(claim(goal, 10)) == 3


def test_a_goal_with_a_limit_comes_to_its_end() -> None:
    goal = submit(*(node(f"n{i}") for i in range(5)))
    goal_concurrency(goal.pk, 1, actor="ada")
    assert pump(goal).state == "succeeded"


def test_an_agents_task_is_not_begun_before_there_is_room() -> None:
    goal = submit(*(node(f"n{i}", agent="command", inputs={"argv": ["true"]}) for i in range(2)))
    goal_concurrency(goal.pk, 1, actor="ada")
    first, second = Attempt.objects.filter(goal=goal).order_by("pk")
    owner = session_current().id
    with goal_locked(goal.pk) as book:
        assert hotpath.claim(book, owner=owner, lease_seconds=30, task_id=first.task_id)
        assert not hotpath.claim(book, owner=owner, lease_seconds=30, task_id=second.task_id)


def test_a_cheap_task_that_ends_calls_the_agents_task_that_waits_for_its_place() -> None:
    goal = submit(node("a"), node("b", agent="command", inputs={"argv": ["true"]}))
    goal_concurrency(goal.pk, 1, actor="ada")
    before = dict(doorbells().queues)["agents"]
    assert serve() == 1
    assert dict(doorbells().queues)["agents"] == before + 1


def test_where_there_is_no_limit_nobody_is_called_twice() -> None:
    submit(node("a"), node("b", agent="command", inputs={"argv": ["true"]}))
    before = dict(doorbells().queues)["agents"]
    assert serve() == 1
    assert dict(doorbells().queues)["agents"] == before


@pytest.mark.parametrize("most", [0, -1, 10_001])
def test_a_limit_that_makes_no_sense_is_refused(most: int) -> None:
    goal = submit(node("a"))
    with pytest.raises(BadInput, match="pause the goal"):
        goal_concurrency(goal.pk, most, actor="ada")
    assert not LedgerEntry.objects.filter(event="goal.concurrency_set").exists()


def test_a_model_reaches_the_briefs_but_not_a_task_that_has_climbed() -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    goal_model(goal.pk, "ollama:llama3.2", actor="ada")
    (claimed,) = claim(goal, 1, "agent")
    with goal_locked(goal.pk) as book:
        assert brief_build(book, claimed).model == "ollama:llama3.2"
        Recovery.objects.create(task_id=claimed.task_id, model="ollama:bigger")
        object.__setattr__(claimed, "number", 2)
        assert brief_build(book, claimed).model == "ollama:bigger"


def test_both_are_on_record_and_a_fork_begins_with_them() -> None:
    goal = submit(node("a"))
    goal_concurrency(goal.pk, 3, actor="ada")
    goal_model(goal.pk, "ollama:llama3.2", actor="ada")
    fork = goal_fork(goal.pk, actor="ada")
    assert (fork.running_max, fork.model) == (3, "ollama:llama3.2")
    assert rebuild_check(goal.pk) == []
    Goal.objects.filter(pk=goal.pk).update(running_max=9)
    assert "running_max 9; its ledger says 3" in " ".join(rebuild_check(goal.pk))


DEEDS: dict[str, Callable[[Goal, Task], object]] = {
    "budget": lambda goal, _: budget_set(f"goal-{goal.pk}", {"calls": 1}, actor="ada"),
    "budget of a task": lambda _, task: budget_set(f"task-{task.pk}", {"calls": 1}, actor="ada"),
    "concurrency": lambda goal, _: goal_concurrency(goal.pk, 1, actor="ada"),
    "model": lambda goal, _: goal_model(goal.pk, "ollama:m", actor="ada"),
    "priority": lambda goal, _: goal_prioritise(goal.pk, 1, actor="ada"),
    "direct": lambda goal, _: goal_direct(goal.pk, "use tabs", actor="ada"),
    "pause": lambda goal, _: goal_pause(goal.pk, actor="ada"),
    "resume": lambda goal, _: goal_resume(goal.pk, actor="ada"),
    "pause of a task": lambda _, task: task_pause(task.pk, actor="ada"),
    "resume of a task": lambda _, task: task_resume(task.pk, actor="ada"),
    "cancel": lambda goal, _: goal_cancel(goal.pk, actor="ada"),
}


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("deed", DEEDS)
def test_a_goal_that_is_over_is_left_alone(state: str, deed: str) -> None:
    goal = given.goal(state=state)
    task = given.task(goal, "a", state="done")
    before, length = row_counts(), goal.ledger.count()
    with pytest.raises(
        IllegalMove, match=f"is {state}, where `.*` is not allowed; allowed: .*fork"
    ):
        DEEDS[deed](goal, task)
    assert (row_counts(), goal.ledger.count()) == (before, length)


def test_a_project_has_a_budget_whatever_became_of_its_goals() -> None:
    goal = given.goal(state="failed")
    length = goal.ledger.count()
    assert budget_set(f"project-{goal.project_id}", {"calls": 7}, actor="ada")["calls"] == 7
    assert goal.ledger.count() == length
