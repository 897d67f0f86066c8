"""A fork begins where a goal stood: what was accepted by then is carried over, the rest runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from agentsys.kernel.errors import BadInput, NotFound
from orchestration.models import Artifact, Attempt, Budget, Goal, Project, Proposal, Task
from orchestration.services.advance import advance
from orchestration.services.approvals import approval_decide
from orchestration.services.forks import goal_fork
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_direct
from orchestration.services.overrides import output_override
from orchestration.services.reads import goal_cost
from orchestration.services.replan import task_edit
from orchestration.services.running import serve, task_serve
from orchestration.services.verdicts import attempt_verify, verdict_overrule
from tests.orchestration.pump import asked_about, attempt_of, node, pump, submit
from tests.orchestration.test_proposals import change, content
from tests.orchestration.test_proposals import given as repository
from tests.workers.given import GivenRepository
from verification import services as verification

given = repository  # the fixture

pytestmark = pytest.mark.django_db(transaction=True)

COMMAND: dict[str, Any] = {"agent": "command", "inputs": {"argv": ["true"]}}
NEVER: dict[str, Any] = {
    "output_schema": {"type": "object", "required": ["more"]},
    "retry": {"attempts_max": 1},
}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


def whole(*goals: Goal) -> None:
    for goal in goals:
        assert fsck(goal.pk, deep=True) == []


def named(goal: Goal, key: str) -> Task:
    return Task.objects.exclude(state="superseded").get(goal=goal, key=key)


def states(goal: Goal) -> dict[str, str]:
    rows = Task.objects.filter(goal=goal).exclude(state="superseded")
    return dict(rows.values_list("key", "state"))


def seq_of(goal: Goal, event: str, key: str) -> int:
    return int(goal.ledger.get(event=event, task_id=named(goal, key).pk).seq)


def test_what_was_accepted_by_then_is_carried_over_and_the_rest_runs() -> None:
    goal = pump(submit(node("a", inputs={"n": 1}), node("b", "a"), node("c", "b"), priority=5))
    at = seq_of(goal, "task.accepted", "b") - 1
    fork = goal_fork(goal.pk, at_seq=at, actor="ann")
    assert (fork.forked_from_id, fork.forked_seq, fork.priority) == (goal.pk, at, 5)
    assert fork.contract_hash == goal.contract_hash
    assert states(fork) == {"a": "done", "b": "ready", "c": "blocked"}
    old, new = attempt_of(goal, "a"), attempt_of(fork, "a")
    assert (new.report, new.artifact_hash, new.number) == (old.report, old.artifact_hash, 1)
    views = verification.verdicts_of([old.pk, new.pk])
    assert [(v.verifier, v.outcome, v.artifact_hash) for v in views[old.pk]] == [
        (v.verifier, v.outcome, v.artifact_hash) for v in views[new.pk]
    ]
    entry = fork.ledger.get(event="task.accepted")
    assert entry.payload["carried_from"] == {
        "goal": goal.pk, "seq": at, "task": old.task_id, "attempt": old.pk,
    }  # fmt: skip
    assert pump(fork).state == "succeeded"
    assert Attempt.objects.filter(goal=fork).count() == 3
    whole(goal, fork)


def test_a_fork_at_any_entry_comes_to_its_end() -> None:
    goal = submit(
        node("seed", inputs={"items": [1, 2]}),
        node("fan", "seed", agent="collect", fan_out=FAN),
        node("last", "fan", **COMMAND),
    )
    pump(goal)
    assert goal.state == "succeeded"
    for seq in range(1, goal.ledger_seq + 1):
        fork = goal_fork(goal.pk, at_seq=seq, actor="ann")
        assert fsck(fork.pk, deep=True) == [], seq
        assert pump(fork).state == "succeeded", seq
        assert set(states(fork)) == {"seed", "fan", "fan[1]", "fan[2]", "last"}
        whole(fork)


EACH = {"agent": "noop", "objective": "x", "verify": ["schema"], "inputs": {"n": "${item}"}}
FAN = {"over": "${tasks.seed.output.echo.items}", "key": "${item}", "task": EACH}


def test_a_fork_of_a_goal_that_is_done_is_done() -> None:
    goal = pump(submit(node("a"), node("b", "a")))
    fork = goal_fork(goal.pk, actor="ann")
    advance(fork.pk)
    fork.refresh_from_db()
    assert fork.state == "succeeded"
    assert goal_cost(fork.pk) == {"tokens": 0, "cost_usd": 0.0, "model_calls": 0}
    whole(fork)


def test_a_fork_of_a_fork_and_of_a_failed_goal_tries_only_the_rest() -> None:
    goal = pump(submit(node("a"), node("b", "a", **NEVER), node("c", "b")))
    first = goal_fork(goal.pk, actor="ann")
    assert states(first) == {"a": "done", "b": "ready", "c": "blocked"}
    second = goal_fork(first.pk, actor="ann")
    assert states(second) == {"a": "done", "b": "ready", "c": "blocked"}
    assert pump(second).state == "failed"
    whole(goal, first, second)


def test_an_optional_task_that_had_failed_is_tried_again_beside_what_went_on_without_it() -> None:
    goal = pump(submit(node("a", optional=True, **NEVER), node("b", "a"), node("c", **NEVER)))
    fork = goal_fork(goal.pk, actor="ann")
    assert states(fork) == {"a": "ready", "b": "done", "c": "ready"}
    assert pump(fork).state == "failed"
    whole(fork)


def test_a_fork_from_before_an_edit_and_an_override_has_what_was_there_then() -> None:
    ann = User.objects.create_superuser("ann")
    goal = submit(node("a", inputs={"n": 1}), node("b", "a"), node("last", "b", **COMMAND))
    serve()
    before = Goal.objects.get(pk=goal.pk).ledger_seq
    output_override(named(goal, "a").pk, {"echo": {"n": 42}}, user=ann, reason="I know")
    between = Goal.objects.get(pk=goal.pk).ledger_seq
    task_edit(goal.pk, "a", {"inputs": {"n": 2}}, actor="ann")
    pump(goal)
    early, later, latest = (
        goal_fork(goal.pk, at_seq=seq, actor="ann") for seq in (before, between, None)
    )
    assert output_of(early, "a")["echo"] == {"n": 1}
    assert output_of(later, "a") == {"echo": {"n": 42}}
    assert output_of(latest, "a")["echo"] == {"n": 2}
    assert states(early) == states(later) == {"a": "done", "b": "done", "last": "ready"}
    (view,) = verification.verdicts_of([attempt_of(later, "a").pk])[attempt_of(later, "a").pk]
    assert view.override is not None
    assert view.override.by == "ann"
    for fork in (early, later, latest):
        pump(fork)
        whole(fork)
    whole(goal)


def output_of(goal: Goal, key: str) -> Any:
    report = Attempt.objects.get(pk=named(goal, key).accepted_attempt_id or 0).report
    assert report is not None
    return report["output"]


def test_a_persons_word_over_a_verifier_is_carried_over() -> None:
    check: dict[str, Any] = {"verify": ["schema", "execution"], "check": {"argv": ["false"]}}
    goal = submit(node("a", **COMMAND, **check))
    task_serve(named(goal, "a").pk, 0)
    attempt = attempt_of(goal, "a")
    attempt_verify(attempt.pk, "execution", "")
    ann = User.objects.create_superuser("ann")
    verdict_overrule(attempt.pk, "execution", outcome="pass", user=ann, reason="I ran it")
    fork = goal_fork(goal.pk, actor="bob")
    views = verification.verdicts_of([attempt_of(fork, "a").pk])[attempt_of(fork, "a").pk]
    (execution,) = [v for v in views if v.verifier == "execution"]
    assert execution.override is not None
    assert execution.override.by == "ann"
    assert execution.override.reason.startswith("I ran it (carried over")
    whole(fork)


def test_a_plan_that_waited_for_a_person_waits_in_the_fork_too() -> None:
    goal = submit(node("a"), review=True)
    fork = goal_fork(goal.pk, actor="ann")
    assert fork.state == "plan_review"
    ann = User.objects.create_superuser("ann")
    approval_decide(asked_about(fork).pk, user=ann, decision="approve")
    assert pump(fork).state == "succeeded"
    approval_decide(asked_about(goal).pk, user=ann, decision="approve")
    again = goal_fork(goal.pk, actor="ann")  # its plan is approved
    assert again.state == "running"
    whole(fork, again)


def test_directives_limits_and_a_deadline_to_come_are_taken_along() -> None:
    goal = submit(node("a"), deadline_at=timezone.now() + timedelta(days=1))
    Budget.objects.filter(goal=goal).update(tokens_max=777, tokens_spent=5)
    goal_direct(goal.pk, "use tabs", actor="bob")
    before = Goal.objects.get(pk=goal.pk).ledger_seq
    goal_direct(goal.pk, "or rather not", actor="bob")
    fork = goal_fork(goal.pk, at_seq=before, actor="ann")
    assert list(fork.directives.values_list("text", "author")) == [("use tabs", "bob")]
    budget = Budget.objects.get(goal=fork)
    assert (budget.tokens_max, budget.tokens_spent) == (777, 0)
    assert fork.deadline_at == goal.deadline_at
    whole(fork)


def test_a_fork_in_a_paused_project_stands_still() -> None:
    goal = pump(submit(node("a"), node("b", "a"), project="mine"))
    Project.objects.filter(name="mine").update(paused_at=timezone.now())
    fork = goal_fork(goal.pk, at_seq=3, actor="ann")
    assert (fork.state, fork.paused_by) == ("running", "project")
    assert serve() == 0
    whole(fork)


def test_a_forks_branch_begins_where_the_goals_branch_was(given: GivenRepository) -> None:
    goal = submit(change(), change("b", 3, depends_on=["change-a"]), repository=str(given.path))
    start = given.git("rev-parse", goal.branch)
    pump(goal)
    assert goal.state == "succeeded"
    seq = goal.ledger.filter(event="proposal.applied").earliest("seq").seq  # not accepted yet
    half_way = seq_of(goal, "task.accepted", "change-a")
    none, half, full = (goal_fork(goal.pk, at_seq=at, actor="ann") for at in (seq, half_way, None))
    assert given.git("rev-parse", none.branch) == start
    assert (content(given, half), content(given, half, "b")) == ("a = 2", "b = 1")
    assert given.git("rev-parse", full.branch) == given.git("rev-parse", goal.branch)
    assert states(none) == {"change-a": "ready", "change-b": "blocked"}
    assert states(half) == {"change-a": "done", "change-b": "ready"}
    names = Artifact.objects.filter(goal=half).values_list("name", "sha256")
    old = attempt_of(goal, "change-a").artifacts.values_list("name", "sha256")
    assert sorted(names) == sorted(old)
    for fork in (none, half, full):
        assert pump(fork).state == "succeeded"
        assert (content(given, fork), content(given, fork, "b")) == ("a = 2", "b = 3")
        whole(fork)
    assert Proposal.objects.filter(goal=half).count() == 1


def test_there_is_no_fork_of_what_there_is_not() -> None:
    goal = submit(node("a"))
    before = Goal.objects.count()
    for seq in (0, goal.ledger_seq + 1):
        with pytest.raises(BadInput):
            goal_fork(goal.pk, at_seq=seq, actor="ann")
    with pytest.raises(NotFound):
        goal_fork(999_999, actor="ann")
    assert Goal.objects.count() == before
