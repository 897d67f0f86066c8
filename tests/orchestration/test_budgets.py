"""Money and tokens are set aside before they are spent, and nothing that is set aside is lost."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db.models import Q
from django.utils import timezone
from hypothesis import given as hypothesis_given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agentsys.gateway.scripted import Say, scripted
from agentsys.kernel.errors import BadInput, IllegalMove, NotFound
from orchestration.models import (
    ApprovalRequest,
    Attempt,
    Budget,
    Goal,
    LedgerEntry,
    Reservation,
    Task,
)
from orchestration.services.approvals import approval_decide
from orchestration.services.budgets import (
    BudgetExceeded,
    budget_reserve,
    budget_settle,
    reservations_release,
)
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel
from orchestration.services.ledger import goal_locked
from orchestration.services.limits import budget_set
from orchestration.services.pausing import goal_resume
from orchestration.services.rebuild import rebuild_check
from orchestration.services.running import serve
from orchestration.services.sweep import lost_take_back, sweep
from orchestration.services.why import why
from tests import factories as given
from tests.orchestration.pump import (
    asked_about,
    at_once,
    node,
    pump,
    row_counts,
    submit,
    task_named,
)
from workers.contracts import Usage

pytestmark = pytest.mark.django_db(transaction=True)


def used(tokens: int, cost_usd: float = 0.0) -> Usage:
    return Usage(tokens, 0, cost_usd, 1, 0)


def limit(goal: Goal, **limits: Any) -> Budget:
    Budget.objects.filter(goal=goal).update(**limits)
    return Budget.objects.get(goal=goal)


def swarm(goal: Goal, size: int) -> tuple[Task, list[Task]]:
    parent = given.task(goal, "swarm")
    return parent, [
        given.task(goal, f"swarm[{n}]", state="running", parent=parent) for n in range(size)
    ]


def test_twenty_threads_never_reserve_more_than_there_is() -> None:
    goal = given.goal()
    limit(goal, tokens_max=1_000)
    Budget.objects.create(project=goal.project, tokens_max=5_000, cost_usd_max=None)
    parent, children = swarm(goal, 20)
    Budget.objects.create(task=parent, tokens_max=700, cost_usd_max=None)
    attempts = {row.task_id: row.pk for row in Attempt.objects.filter(goal=goal)}
    most, watch = [0], threading.Lock()

    def call(task: Task) -> int:
        made = 0
        for _ in range(5):
            ids: dict[str, Any] = {"task_id": task.pk, "attempt_id": attempts[task.pk]}
            try:
                budget_reserve(goal.pk, tokens=50, cost_usd=0.01, **ids)
            except BudgetExceeded:
                continue
            row = Budget.objects.get(task=parent)
            with watch:
                most[0] = max(most[0], row.tokens_reserved + row.tokens_spent)
            budget_settle(goal.pk, tokens=50, cost_usd=0.01, usage=used(40, 0.008), **ids)
            made += 1
        return made

    made = at_once([partial(call, task) for task in children])
    assert all(isinstance(one, int) for one in made), made
    for row in Budget.objects.all():
        assert row.tokens_reserved == row.calls_reserved == row.cost_usd_reserved == 0
        assert row.tokens_spent == 40 * sum(made)
        assert row.calls_spent == sum(made)
    assert most[0] <= 700
    assert 10 <= sum(made) <= 17  # 700 / 40 at most
    assert not Reservation.objects.exists()


def model_goal(**limits: Any) -> Goal:
    goal = submit(node("think", agent="model", objective="Choose"))
    limit(goal, **limits)
    return goal


@pytest.fixture
def speak(settings: Any) -> Any:
    settings.AGENTSYS = replace(
        settings.AGENTSYS, model="scripted:paid?max_tokens=1000", backoff_seconds=0.0
    )
    return lambda *turns: scripted("paid", turns)


DONE = Say(calls=(("finish", {"text": "blue"}),), tokens=(300, 20))


def test_a_breach_parks_and_asks_and_granting_resumes(speak: Any) -> None:
    lines = speak(Say("hm", tokens=(300, 20)), DONE)
    goal = pump(model_goal(tokens_max=100))
    task, request = task_named(goal, "think"), asked_about(goal)
    assert (task.state, request.kind, request.allowed) == (
        "held", "budget", ["approve", "edit", "respond", "reject"],
    )  # fmt: skip
    assert request.context["ref"] == f"goal-{goal.pk}"
    assert (request.context["kind"], request.context["most"]) == ("tokens", 100.0)
    assert request.context["asked"] > 1000
    assert f"goal-{goal.pk} has no budget for" in request.question
    assert task.reason.startswith("waits for budget: ")
    assert lines.asked == []
    approval_decide(
        request.pk, user=given.person(), decision="edit", payload={"tokens_max": 50_000}
    )
    assert pump(goal).state == "succeeded"
    raised = LedgerEntry.objects.get(goal=goal, event="budget.set")
    assert (raised.actor, raised.payload["was"], raised.payload["is"]) == (
        "ada", {"tokens": 100}, {"tokens": 50_000},
    )  # fmt: skip
    budget = Budget.objects.get(goal=goal)
    assert (budget.tokens_spent, budget.tokens_reserved, budget.calls_spent) == (640, 0, 2)
    assert Attempt.objects.filter(goal=goal).count() == 1
    assert [*fsck(goal.pk), *rebuild_check(goal.pk)] == []


def test_to_approve_doubles_the_limit_or_makes_room_where_that_is_more(speak: Any) -> None:
    speak(DONE)
    goal = pump(model_goal(tokens_max=100))
    request = asked_about(goal)
    approval_decide(request.pk, user=given.person(), decision="approve")
    assert pump(goal).state == "succeeded"
    assert Budget.objects.get(goal=goal).tokens_max == request.context["asked"]


def test_to_refuse_ends_the_task_and_nothing_is_asked_again(speak: Any) -> None:
    lines = speak(DONE)
    goal = pump(model_goal(tokens_max=100))
    approval_decide(asked_about(goal).pk, user=given.person(), decision="reject", reason="too dear")
    goal = pump(goal)
    assert goal.state == "failed"
    assert "no more budget, says ada: too dear" in task_named(goal, "think").reason
    assert lines.asked == []
    assert [*fsck(goal.pk), *rebuild_check(goal.pk)] == []


def test_a_wrong_amount_changes_nothing(speak: Any) -> None:
    speak(DONE)
    goal = pump(model_goal(tokens_max=100))
    request, before = asked_about(goal), row_counts()
    with pytest.raises(BadInput, match=r"token_max.* is no kind of budget"):
        approval_decide(request.pk, user=given.person(), decision="edit", payload={"token_max": 5})
    request.refresh_from_db()
    assert request.state == "open"
    assert {k: v for k, v in row_counts().items() if v != before[k]} == {
        "agentsys_orchestration.Membership": 1
    }


def test_raising_the_limit_lets_everybody_go_on_who_waited_for_it(speak: Any) -> None:
    speak(DONE, DONE, DONE)
    keys = ("a", "b", "c")
    goal = submit(*(node(k, agent="model", objective="Choose") for k in keys))
    limit(goal, tokens_max=10)
    goal = pump(goal)
    assert ApprovalRequest.objects.filter(goal=goal, state="open").count() == 3
    assert budget_set(f"goal-{goal.pk}", {"tokens": 90_000}, actor="ada")["tokens"] == 90_000
    assert not ApprovalRequest.objects.filter(goal=goal, state="open").exists()
    assert pump(goal).state == "succeeded"


def test_a_project_pays_for_all_its_goals(speak: Any) -> None:
    speak(DONE)
    goal = model_goal()
    budget_set(f"project-{goal.project_id}", {"calls": 0}, actor="ada")
    goal = pump(goal)
    assert asked_about(goal).context["ref"] == f"project-{goal.project_id}"
    budget_set(f"project-{goal.project_id}", {"calls": 10}, actor="ada")
    assert pump(goal).state == "succeeded"
    said = LedgerEntry.objects.filter(goal=goal, event="budget.set").values_list("payload")
    assert [payload["is"] for (payload,) in said] == [{"calls": 0}, {"calls": 10}]


def test_a_projects_policy_may_give_it_a_budget() -> None:
    goal = given.goal()
    goal.project.policy = {"budget": {"usd": 0.5}}
    goal.project.save()
    assert budget_reserve(goal.pk, tokens=10, cost_usd=0.4)
    with pytest.raises(BudgetExceeded, match=r"project-\d+ has no budget for \$0\.2000 more"):
        budget_reserve(goal.pk, tokens=10, cost_usd=0.2)


def test_a_goal_that_is_cancelled_holds_nothing_back() -> None:
    goal = given.goal()
    task = given.task(goal, "a", state="running")
    attempt = Attempt.objects.get(task=task)
    budget_reserve(goal.pk, tokens=90, cost_usd=0, task_id=task.pk, attempt_id=attempt.pk)
    goal_cancel(goal.pk, actor="ada")
    assert Budget.objects.get(goal=goal).tokens_reserved == 0
    assert fsck(goal.pk) == []


def test_limits_that_are_none_are_refused_with_every_problem() -> None:
    goal = given.goal()
    with pytest.raises(BadInput) as caught:
        budget_set(
            f"goal-{goal.pk}", {"token": 5, "usd": -1, "calls": 1.5, "seconds": True}, actor="ada"
        )
    assert len(caught.value.problems) == 4
    with pytest.raises(BadInput, match="no kind"):
        budget_set(f"project-{goal.project_id}", {"attempts": 5}, actor="ada")
    with pytest.raises(BadInput, match="is not project-N"):
        budget_set("goal", {"tokens": 5}, actor="ada")
    with pytest.raises(NotFound):
        budget_set("task-999999", {"tokens": 5}, actor="ada")


def test_attempts_are_a_budget_too() -> None:
    more = {"type": "object", "required": ["more"]}
    goal = submit(node("a", output_schema=more, retry={"backoff_seconds": 0}))
    budget_set(f"goal-{goal.pk}", {"attempts": 1}, actor="ada")
    goal = pump(goal)
    request = asked_about(goal)
    assert (task_named(goal, "a").state, request.context["kind"]) == ("held", "attempts")
    approval_decide(request.pk, user=given.person(), decision="approve")
    goal = pump(goal)
    assert task_named(goal, "a").attempts_count == 2
    assert Budget.objects.get(goal=goal).attempts_max == 2
    approval_decide(asked_about(goal).pk, user=given.person("bo"), decision="approve")
    goal = pump(goal)
    assert (goal.state, task_named(goal, "a").attempts_count) == ("failed", 3)
    assert [*fsck(goal.pk), *rebuild_check(goal.pk)] == []


def test_first_tries_are_counted_and_never_held_back() -> None:
    more = {"type": "object", "required": ["more"]}
    goal = submit(node("a"), node("b"), node("c", output_schema=more, retry={"backoff_seconds": 0}))
    budget_set(f"goal-{goal.pk}", {"attempts": 1}, actor="ada")
    goal = pump(goal)
    assert [task_named(goal, key).state for key in "abc"] == ["done", "done", "held"]
    assert (
        f"goal-{goal.pk} has no budget for another attempt: 3 were made, first ones included, and the"
        " limit is 1." in asked_about(goal).question
    )


def test_one_attempt_of_a_task_is_one_try_and_no_retry() -> None:
    more = {"type": "object", "required": ["more"]}
    goal = pump(submit(node("a", output_schema=more, retry={"attempts_max": 1})))
    assert (goal.state, task_named(goal, "a").attempts_count) == ("failed", 1)


def test_wall_clock_is_a_budget_and_pauses_do_not_count() -> None:
    goal = given.goal(started_at=timezone.now() - timedelta(seconds=100))
    limit(goal, seconds_max=60.0)
    with pytest.raises(BudgetExceeded, match=r"no budget for more time: 1.. of 60 seconds"):
        budget_reserve(goal.pk, tokens=1, cost_usd=0)
    Goal.objects.filter(pk=goal.pk).update(paused_seconds=50.0)
    assert budget_reserve(goal.pk, tokens=1, cost_usd=0)


def worked_too_long(goal: Goal | None = None) -> Goal:
    """No model is asked in it, so only the sweep looks at the clock."""
    goal = goal or submit(node("a"), node("b", "a"))
    Goal.objects.filter(pk=goal.pk).update(started_at=timezone.now() - timedelta(seconds=100))
    limit(goal, seconds_max=60.0)
    assert sweep() is not None
    return Goal.objects.get(pk=goal.pk)


def test_a_goal_whose_seconds_are_used_up_is_paused_and_asks_once() -> None:
    goal = worked_too_long()
    assert (goal.paused_by, serve()) == ("budget", 0)
    assert "60 seconds" in asked_about(goal).question
    with pytest.raises(IllegalMove, match="goals budget"):
        goal_resume(goal.pk, actor="ann")
    sweep()
    assert ApprovalRequest.objects.filter(goal=goal).count() == 1
    assert "its budget of seconds is used up" in why(f"goal-{goal.pk}").sentence


def test_whoever_asks_why_is_led_to_the_question_about_the_seconds() -> None:
    goal = submit(node("a"), node("b", "a"))
    older = given.approval(Task.objects.filter(goal=goal).earliest("pk"))
    worked_too_long(goal)
    asked = ApprovalRequest.objects.get(goal=goal, kind="budget")
    sentence = why(f"goal-{goal.pk}").sentence
    assert f"approval-{asked.pk}," in sentence and f"approval-{older.pk}" not in sentence


def test_more_seconds_let_the_goal_go_on_however_they_are_granted() -> None:
    for grant in (
        lambda goal: approval_decide(asked_about(goal).pk, user=given.person(), decision="approve"),
        lambda goal: budget_set(f"goal-{goal.pk}", {"seconds": None}, actor="ann"),
    ):
        goal = worked_too_long()
        grant(goal)
        assert pump(goal).state == "succeeded"
        assert not ApprovalRequest.objects.filter(goal=goal, state="open").exists()
        assert [*fsck(goal.pk), *rebuild_check(goal.pk)] == []


def test_a_grant_of_seconds_is_of_whole_ones_and_its_question_names_no_goal_0() -> None:
    asked = asked_about(worked_too_long())
    assert "goal_id" not in asked.context
    approval_decide(asked.pk, user=given.person(), decision="approve")
    granted = Budget.objects.get(goal=asked.goal).seconds_max
    assert granted is not None and granted > 160 and granted == int(granted)


def test_no_more_seconds_is_the_end_of_the_goal() -> None:
    goal = worked_too_long()
    approval_decide(asked_about(goal).pk, user=given.person(), decision="reject", reason="enough")
    goal.refresh_from_db()
    assert (goal.state, "enough" in goal.reason) == ("cancelled", True)
    assert [*fsck(goal.pk), *rebuild_check(goal.pk)] == []


def test_a_grant_without_room_is_refused_and_asked_about_still(speak: Any) -> None:
    goal = worked_too_long()
    asked = asked_about(goal)
    with pytest.raises(BadInput, match=r"seconds would be 80, of which 10\d"):
        approval_decide(asked.pk, user=given.person(), decision="edit", payload={"seconds_max": 80})
    asked.refresh_from_db()
    assert (asked.state, asked.decisions.count()) == ("open", 0)


def test_a_swarm_shares_what_its_plan_gives_it() -> None:
    goal = given.goal()
    definition = {"objective": "s", "fan_out": {"budget": {"tokens": 100, "calls": 3}}}
    parent = given.task(goal, "swarm", definition=definition)
    children = [given.task(goal, f"swarm[{n}]", state="running", parent=parent) for n in (0, 1)]
    for child in children:
        budget_reserve(goal.pk, tokens=40, cost_usd=0.1, task_id=child.pk)
    with pytest.raises(BudgetExceeded) as caught:
        budget_reserve(goal.pk, tokens=40, cost_usd=0.1, task_id=children[0].pk)
    assert caught.value.context["ref"] == f"task-{parent.pk}"
    own = given.task(goal, "alone", state="running")
    assert budget_reserve(goal.pk, tokens=40, cost_usd=0.1, task_id=own.pk)
    assert Budget.objects.get(goal=goal).tokens_reserved == 120


def test_what_a_dead_worker_had_reserved_comes_back() -> None:
    goal = given.goal()
    limit(goal, tokens_max=100)
    task = given.task(goal, "a", state="running", lane="agent")
    attempt = Attempt.objects.get(task=task)
    budget_reserve(goal.pk, tokens=90, cost_usd=0.1, task_id=task.pk, attempt_id=attempt.pk)
    lost_take_back(attempt.pk)
    assert Budget.objects.get(goal=goal).tokens_reserved == 0
    # It was only slow: what it has used meanwhile is owed all the same.
    ids: dict[str, Any] = {"task_id": task.pk, "attempt_id": attempt.pk}
    budget_settle(goal.pk, tokens=90, cost_usd=0.1, usage=used(70), **ids)
    budget = Budget.objects.get(goal=goal)
    assert (budget.tokens_reserved, budget.tokens_spent) == (0, 70)
    assert fsck(goal.pk) == []


def test_who_finds_a_budget_full_gives_back_what_the_dead_hold() -> None:
    goal = given.goal()
    limit(goal, tokens_max=100)
    task = given.task(goal, "a", state="running")
    attempt = Attempt.objects.get(task=task)
    budget_reserve(goal.pk, tokens=90, cost_usd=0, task_id=task.pk, attempt_id=attempt.pk)
    with pytest.raises(BudgetExceeded):
        budget_reserve(goal.pk, tokens=90, cost_usd=0)
    Attempt.objects.filter(pk=attempt.pk).update(state="cancelled", finished_at=timezone.now())
    assert budget_reserve(goal.pk, tokens=90, cost_usd=0)


SIZES = st.tuples(st.integers(0, 60), st.integers(0, 50_000))
STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "settle", "lose", "raise"]), st.integers(0, 2), SIZES),
    max_size=25,
)


@hypothesis_settings(max_examples=20)
@hypothesis_given(STEPS)
def test_whatever_happens_no_limit_is_passed_and_every_cent_is_somewhere(steps: Any) -> None:
    goal = given.goal()
    limit(goal, tokens_max=150, cost_usd_max=Decimal("0.1"), calls_max=4)
    parent, children = swarm(goal, 3)
    Budget.objects.create(task=parent, tokens_max=100, cost_usd_max=None)
    attempts = [Attempt.objects.get(task=child) for child in children]
    open_calls: list[tuple[int, int, float]] = []
    spent = 0
    for step, which, (tokens, micros) in steps:
        ids: dict[str, Any] = {"task_id": children[which].pk, "attempt_id": attempts[which].pk}
        if step == "reserve":
            with contextlib.suppress(BudgetExceeded):
                budget_reserve(goal.pk, tokens=tokens, cost_usd=micros / 1e6, **ids)
                open_calls.append((which, tokens, micros / 1e6))
        elif step == "settle" and (mine := [c for c in open_calls if c[0] == which]):
            _, held, cost = mine[0]
            open_calls.remove(mine[0])
            use = used(min(tokens, held), cost)
            budget_settle(goal.pk, tokens=held, cost_usd=cost, usage=use, **ids)
            spent += use.input_tokens
        elif step == "lose":
            Attempt.objects.filter(pk=attempts[which].pk).update(
                state="lost", finished_at=timezone.now()
            )
            reservations_release(task_id=children[which].pk)
            open_calls = [c for c in open_calls if c[0] != which]
            Attempt.objects.filter(pk=attempts[which].pk).update(state="running", finished_at=None)
        elif step == "raise":
            budget_set(f"task-{parent.pk}", {"tokens": 100 + tokens}, actor="ada")
        for row in Budget.objects.filter(Q(goal=goal) | Q(task=parent)):
            assert row.tokens_reserved == sum(c[1] for c in open_calls)
            assert row.calls_reserved == len(open_calls)
            assert row.tokens_spent == spent
            assert row.calls_max is None or row.calls_reserved + row.calls_spent <= row.calls_max
        whole = Budget.objects.get(goal=goal)
        assert whole.tokens_reserved + whole.tokens_spent <= 150
        assert whole.cost_usd_reserved + whole.cost_usd_spent <= Decimal("0.1")
    assert "budget-is-settled" not in {f.invariant for f in fsck(goal.pk)}


def test_reserving_settling_releasing_and_raising_at_once_never_lock_each_other() -> None:
    goals = [given.goal() for _ in range(3)]
    Budget.objects.create(project=goals[0].project, tokens_max=10**6, cost_usd_max=None)
    families = [(goal, *swarm(goal, 2)) for goal in goals]
    for _, parent, _ in families:
        Budget.objects.create(task=parent, tokens_max=10**5, cost_usd_max=None)

    def pay(goal: Goal, task: Task) -> None:
        attempt = Attempt.objects.get(task=task)
        ids: dict[str, Any] = {"task_id": task.pk, "attempt_id": attempt.pk}
        for _ in range(10):
            budget_reserve(goal.pk, tokens=10, cost_usd=0.01, **ids)
            budget_settle(goal.pk, tokens=10, cost_usd=0.01, usage=used(10, 0.01), **ids)

    def lose(goal: Goal, task: Task) -> None:
        for _ in range(10):
            budget_reserve(goal.pk, tokens=7, cost_usd=0.01, task_id=task.pk)
            with goal_locked(goal.pk):
                reservations_release(goal_id=goal.pk)
            budget_settle(goal.pk, tokens=7, cost_usd=0.01, usage=used(0), task_id=task.pk)

    def steer(goal: Goal, parent: Task) -> None:
        for n in range(5):
            budget_set(f"task-{parent.pk}", {"tokens": 10**5 + n}, actor="ada")
            budget_set(f"project-{goal.project_id}", {"tokens": 10**6 + n}, actor="ada")

    calls: list[Any] = []
    for goal, parent, children in families:
        calls += [partial(pay, goal, child) for child in children]
        calls += [partial(lose, goal, children[0]), partial(steer, goal, parent)]
    assert at_once(calls) == [None] * len(calls)
    for row in Budget.objects.all():
        assert row.tokens_reserved == row.calls_reserved == row.cost_usd_reserved == 0
    assert Budget.objects.get(project=goals[0].project).tokens_spent == 3 * 2 * 10 * 10
