"""Pausing at every width: nothing starts, every clock stands still, and a wider resume is not a
narrower one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone

from agentsys.kernel.errors import BadInput
from orchestration.domain.settling import Retry, failed
from orchestration.models import ApprovalRequest, Attempt, Goal, Project, Standstill, Task
from orchestration.services.advance import advance
from orchestration.services.approvals import AlreadyDecided, approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_retry, project_join
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked, ledger_verify
from orchestration.services.pausing import (
    everything_pause,
    everything_resume,
    goal_pause,
    goal_resume,
    project_pause,
    project_resume,
    task_pause,
    task_resume,
)
from orchestration.services.requests import request_open
from orchestration.services.running import serve
from orchestration.services.settle import Finished, finish
from orchestration.services.sweep import sweep
from orchestration.services.why import why
from tests.orchestration.pump import asked_about, events, node, pump, submit, task_named
from tests.orchestration.test_approvals import held, lines
from workers.contracts import FailureKind

pytestmark = pytest.mark.django_db(transaction=True)


def paused_by(goal: Goal) -> str:
    goal.refresh_from_db()
    return goal.paused_by if goal.paused_at else ""


def test_a_subtree_stands_still_while_the_rest_goes_on() -> None:
    goal = submit(node("a"), node("b", "a"), node("c", "b"), node("x"))
    task_pause(task_named(goal, "b").pk, actor="ann", reason="wait for the review")
    pump(goal)
    assert goal.state == "running"
    states = dict(Task.objects.filter(goal=goal).values_list("key", "state"))
    assert states == {"a": "done", "b": "ready", "c": "blocked", "x": "done"}
    assert advance(goal.pk) == "running"
    task_resume(task_named(goal, "b").pk, actor="ann")
    assert pump(goal).state == "succeeded"
    assert {"tasks.paused", "tasks.resumed"} <= set(events(goal))
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_a_paused_fan_out_does_not_expand_and_its_goal_does_not_end() -> None:
    each = {"agent": "noop", "objective": "x", "verify": ["schema"]}
    fan = {"over": "${tasks.seed.output.echo.items}", "task": each}
    goal = submit(
        node("seed", inputs={"items": [1, 2]}),
        node("fan", "seed", agent="collect", fan_out=fan),
    )
    task_pause(task_named(goal, "fan").pk, actor="ann")
    pump(goal)
    assert (goal.state, Task.objects.filter(goal=goal).count()) == ("running", 2)
    task_resume(task_named(goal, "fan").pk, actor="ann")
    assert pump(goal).state == "succeeded"
    assert fsck(goal.pk) == []


def test_a_project_pauses_its_goals_and_new_ones_and_leaves_other_projects_alone() -> None:
    old, other = submit(node("a"), project="mine"), submit(node("a"), project="yours")
    assert project_pause("mine", actor="ann").goals == 1
    new = submit(node("a"), project="mine")
    assert serve() == 1
    assert (paused_by(old), paused_by(new), paused_by(other)) == ("project", "project", "")
    assert pump(other).state == "succeeded"
    assert project_resume("mine", actor="ann").goals == 2
    assert [pump(goal).state for goal in (old, new)] == ["succeeded", "succeeded"]


def test_resuming_a_project_leaves_alone_what_was_paused_by_itself() -> None:
    itself, swept = submit(node("a"), project="mine"), submit(node("a"), project="mine")
    goal_pause(itself.pk, actor="ann")
    project_pause("mine", actor="bob")
    assert (paused_by(itself), paused_by(swept)) == ("goal", "project")
    project_resume("mine", actor="bob")
    assert (paused_by(itself), paused_by(swept)) == ("goal", "")


def test_resuming_a_goal_of_a_paused_project_leaves_it_to_the_project() -> None:
    goal = submit(node("a"), project="mine")
    goal_pause(goal.pk, actor="ann")
    project_pause("mine", actor="bob")
    assert goal_resume(goal.pk, actor="ann").goals == 0
    assert paused_by(goal) == "project"
    project_resume("mine", actor="bob")
    assert pump(goal).state == "succeeded"


def test_the_sweep_makes_goals_agree_with_their_project_and_with_everything() -> None:
    """A goal that came in while its project was being paused; a resume that broke off."""
    goal, other = submit(node("a"), project="mine"), submit(node("a"), project="yours")
    Project.objects.filter(name="mine").update(paused_at=timezone.now())
    sweep()
    assert (paused_by(goal), paused_by(other)) == ("project", "")
    Project.objects.filter(name="mine").update(paused_at=None)
    Standstill.objects.create(pk=1, actor="root")
    sweep()
    assert (paused_by(goal), paused_by(other)) == ("everything", "everything")
    Standstill.objects.all().delete()
    sweep()
    assert [pump(one).state for one in (goal, other)] == ["succeeded", "succeeded"]


def test_everything_stands_still_and_goes_on() -> None:
    first, second = submit(node("a"), project="mine"), submit(node("a"), project="yours")
    project_pause("yours", actor="ann")
    everything_pause(actor="root", reason="the building burns")
    third = submit(node("a"), project="new")
    assert serve() == 0
    assert [paused_by(g) for g in (first, second, third)] == ["everything", "project", "everything"]
    everything_resume(actor="root")
    assert [paused_by(g) for g in (first, second, third)] == ["", "project", ""]
    assert Project.objects.get(name="yours").paused_at is not None


def test_clocks_stand_still_while_a_goal_is_paused() -> None:
    goal = submit(node("a"), node("wait"))
    due = timezone.now() + timedelta(seconds=5)
    Task.objects.filter(pk=task_named(goal, "wait").pk).update(due_at=due)
    Goal.objects.filter(pk=goal.pk).update(deadline_at=due)
    goal_pause(goal.pk, actor="ann")
    Goal.objects.filter(pk=goal.pk).update(paused_at=timezone.now() - timedelta(hours=1))
    goal_resume(goal.pk, actor="ann")
    goal.refresh_from_db()
    hour = timedelta(minutes=59)
    assert goal.deadline_at is not None
    assert goal.deadline_at - due > hour
    waits = task_named(goal, "wait")
    assert waits.due_at is not None
    assert waits.due_at - due > hour


@pytest.mark.parametrize(("decision", "state"), [("approve", "succeeded"), ("reject", "cancelled")])
def test_a_deadline_that_passes_parks_the_goal_and_asks(decision: str, state: str) -> None:
    goal = submit(node("a"))
    Goal.objects.filter(pk=goal.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
    sweep()
    assert paused_by(goal) == "deadline"
    assert serve() == 0
    ann = User.objects.create_user("ann")
    project_join("default", user=ann, role="approver")
    approval_decide(asked_about(goal).pk, user=ann, decision=decision, reason="we saw it")
    assert pump(goal).state == state
    assert not ApprovalRequest.objects.filter(goal=goal, state="open").exists()
    assert fsck(goal.pk) == []


def test_resuming_by_hand_lifts_the_deadline_and_its_question() -> None:
    goal = submit(node("a"))
    Goal.objects.filter(pk=goal.pk).update(deadline_at=timezone.now() - timedelta(seconds=1))
    sweep()
    goal_resume(goal.pk, actor="ann")
    sweep()
    assert paused_by(goal) == ""
    assert not ApprovalRequest.objects.filter(goal=goal, state="open").exists()
    assert pump(goal).state == "succeeded"


def test_a_revived_task_has_all_its_patience_again() -> None:
    never = {"agent": "command", "inputs": {"argv": ["false"]}}
    patience = {"retry": {"attempts_max": 2, "backoff_seconds": 0.001}}
    goal = submit(node("a", **never, **patience))
    for tries in (2, 4):
        for _ in range(5):
            Task.objects.filter(goal=goal).update(due_at=None)
            pump(goal)
        assert goal.state == "failed"
        assert Attempt.objects.filter(goal=goal).count() == tries
        goal_retry(goal.pk, actor="ann")


def test_the_command_takes_a_goal_a_task_a_project_or_everything() -> None:
    goal = submit(node("a"), node("b", "a"), project="mine")
    call_command("goals", "pause", "--task", f"{goal.pk}/b", "--json")
    assert task_named(goal, "b").paused_at is not None
    call_command("goals", "resume", "--task", f"{goal.pk}/b", "--json")
    call_command("goals", "pause", "--project", "mine", "--json")
    assert paused_by(goal) == "project"
    call_command("goals", "resume", "--project", "mine", "--json")
    call_command("goals", "pause", "--everything", "--json")
    assert paused_by(goal) == "everything"
    call_command("goals", "resume", "--everything", "--json")
    call_command("goals", "pause", str(goal.pk), "--json")
    assert paused_by(goal) == "goal"
    for words in ((), (str(goal.pk), "--everything")):
        with pytest.raises(BadInput, match="name one of"):
            call_command("goals", "pause", *words)


def test_a_decision_after_the_due_time_is_refused_before_the_sweep_expires_it() -> None:
    goal = submit(node("a"), review=True)
    asked = asked_about(goal)
    ApprovalRequest.objects.filter(pk=asked.pk).update(due_at=timezone.now())
    ann = User.objects.create_user("ann")
    project_join("default", user=ann, role="approver")
    with pytest.raises(AlreadyDecided, match="past its due time"):
        approval_decide(asked.pk, user=ann, decision="approve")
    asked.refresh_from_db()
    assert asked.state == "open"


def test_why_names_who_paused_and_the_command_that_goes_on() -> None:
    goal = submit(node("a"), node("b", "a"), project="mine")
    task_pause(task_named(goal, "b").pk, actor="ann", reason="wait")
    assert why(f"{goal.pk}/b").sentence.endswith(
        f"(wait); `goals resume --task {goal.pk}/b` goes on"
    )
    project_pause("mine", actor="bob")
    assert "`goals resume --project mine` goes on" in why(f"goal-{goal.pk}").sentence
    project_resume("mine", actor="bob")
    everything_pause(actor="root")
    assert "`goals resume --everything` goes on" in why(f"goal-{goal.pk}").sentence


def test_an_approved_action_of_a_paused_task_waits_until_it_is_resumed(tmp_path: Path) -> None:
    goal, request = held(tmp_path / "w")
    task_pause(task_named(goal, "act").pk, actor="ann")
    ann = User.objects.create_superuser("ann")
    approval_decide(request.pk, user=ann, decision="approve")
    pump(goal)
    assert (goal.state, lines(tmp_path / "w")) == ("running", [])
    task_resume(task_named(goal, "act").pk, actor="ann")
    assert pump(goal).state == "succeeded"
    assert lines(tmp_path / "w") == ["x"]
    assert fsck(goal.pk) == []


@pytest.mark.parametrize("what", ["goal", "task"])
def test_a_wait_that_begins_during_a_pause_begins_when_it_is_over(what: str) -> None:
    """Else a goal that was paused for days waits for as many days again."""
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    task, three_days = task_named(goal, "a"), timedelta(days=3)
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=1, lease_seconds=30, task_id=task.pk)
    if what == "goal":
        goal_pause(goal.pk, actor="ann")
        Goal.objects.filter(pk=goal.pk).update(paused_at=timezone.now() - three_days)
    else:
        task_pause(task.pk, actor="ann")
        Task.objects.filter(pk=task.pk).update(paused_at=timezone.now() - three_days)
    later = Retry(reason="later", delay_seconds=60, rejected=False)
    with goal_locked(goal.pk) as book:
        finish(book, [Finished(taken, failed(FailureKind.TRANSIENT, "later"), "", (), later)])
    if what == "goal":
        goal_resume(goal.pk, actor="ann")
    else:
        task_resume(task.pk, actor="ann")
    task.refresh_from_db()
    assert task.due_at is not None
    assert timedelta(0) < task.due_at - timezone.now() < timedelta(minutes=30)


@pytest.mark.parametrize("what", ["goal", "task", "both"])
def test_a_question_that_comes_up_during_a_pause_has_its_days_when_it_is_over(what: str) -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    task, three_days = task_named(goal, "a"), timedelta(days=3)
    if what != "goal":
        task_pause(task.pk, actor="ann")
        Task.objects.filter(pk=task.pk).update(paused_at=timezone.now() - three_days)
    if what != "task":
        goal_pause(goal.pk, actor="ann")
        Goal.objects.filter(pk=goal.pk).update(paused_at=timezone.now() - three_days)
    policy = {"approval": {"days": 2}}
    with goal_locked(goal.pk) as book:
        asked = request_open(
            book, kind="question", question="?", context={}, risk="read", task_id=task.pk,
            allowed=("respond",), definition=policy,
        )  # fmt: skip
    if what != "task":
        goal_resume(goal.pk, actor="ann")
    if what != "goal":
        task_resume(task.pk, actor="ann")
    asked.refresh_from_db()
    assert asked.due_at is not None
    assert abs(asked.due_at - timezone.now() - timedelta(days=2)) < timedelta(minutes=30)
