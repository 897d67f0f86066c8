"""What follows from failures: who is forgiven, who climbs, who waits, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agentsys import gateway
from agentsys.gateway.scripted import Say, scripted
from orchestration.domain.lives import AttemptEvent
from orchestration.domain.recovery import FailureClass
from orchestration.domain.settling import Retry
from orchestration.models import Attempt, Goal, LedgerEntry, Outage, Plan, Recovery, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.briefs import model_of
from orchestration.services.budgets import budget_reserve, budget_settle
from orchestration.services.followups import Followups
from orchestration.services.forks import goal_fork
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_cancel
from orchestration.services.hotpath import Claimed, claim
from orchestration.services.ledger import goal_locked, ledger_verify
from orchestration.services.moves import attempts_move
from orchestration.services.outages import outage_over
from orchestration.services.pausing import goal_pause
from orchestration.services.rebuild import rebuild_check
from orchestration.services.recovery import task_recover
from orchestration.services.replan import task_edit
from orchestration.services.settle import Finished, finish
from orchestration.services.sweep import lost_take_back
from orchestration.services.why import why
from tests import factories as given
from tests.orchestration.pump import (
    asked_about,
    attempt_of,
    events,
    node,
    pump,
    submit,
    task_named,
)
from tests.orchestration.pump import at_once as at_the_same_time
from workers.contracts import Failure, FailureKind, Outcome, Report, Usage
from workers.models import ModelCall

pytestmark = pytest.mark.django_db(transaction=True)

NEEDS_MORE = {"type": "object", "required": ["more"]}
AWAY = "cloud:large"


@pytest.fixture
def at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


def time_passes(seconds: float) -> None:
    """What is due becomes due so much earlier: the database's clock cannot be set."""
    with connection.cursor() as cursor:
        for table, columns in (
            ("task", ("due_at",)),
            ("attempt", ("publish_due_at",)),
            ("outage", ("probe_at", "seen_at")),
        ):
            sets = ", ".join(f"{c} = {c} - make_interval(secs => {seconds})" for c in columns)
            cursor.execute(f"UPDATE agentsys_orchestration_{table} SET {sets}")


def unsound(goal: Goal) -> list[object]:
    return [*fsck(goal.pk), *rebuild_check(goal.pk)]


def take(goal: Goal, task_id: int) -> Claimed:
    with goal_locked(goal.pk) as book:
        (claimed,) = claim(book, owner=1, lease_seconds=30, task_id=task_id)
    return claimed


def failing(kind: FailureClass, **facts: Any) -> Callable[[Claimed], Finished]:
    failure = Failure(FailureKind.OUTAGE, "cannot be reached", facts=facts)
    report = Report(Outcome.FAILED, failure=failure).to_json()

    def broken(claimed: Claimed) -> Finished:
        disposition = Retry(f"{kind}: away", 0.0, rejected=False, failure=kind, facts=facts)
        return Finished(claimed, report, "", (), disposition)

    return broken


def fail(goal: Goal, claimed: Claimed, kind: FailureClass, **facts: Any) -> None:
    with goal_locked(goal.pk) as book:
        finish(book, [failing(kind, **facts)(claimed)])


def test_a_rate_limit_is_waited_for_and_no_call_is_paid_for_twice(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:core")
    busy = gateway.RateLimited(model="m", reason="slow down", retry_after_seconds=600.0)
    finish_line = Say(calls=(("finish", {"text": "blue"}),))
    lines = scripted("core", [Say("thinking", tokens=(30, 4)), busy, finish_line])
    goal = pump(submit(node("think", agent="model", objective="Choose", verify=["schema"])))
    first, second = Attempt.objects.filter(goal=goal).order_by("number")
    task = task_named(goal, "think")
    assert (first.state, second.lineage) == ("failed", first.lineage)
    assert task.due_at is not None
    assert (task.due_at - timezone.now()).total_seconds() > 590
    assert (task.attempts_count, task.attempts_forgiven) == (2, 1)
    assert "asks again first" in task.reason
    time_passes(1000)
    assert pump(goal).state == "succeeded"
    assert len(lines.asked) == ModelCall.objects.count() == 3
    assert unsound(goal) == []


def test_what_was_forgiven_leaves_all_attempts_for_what_counts(at_once: None) -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}, retry={"attempts_max": 2}))
    task = task_named(goal, "a")
    kinds = [FailureClass.TRANSIENT] * 5 + [FailureClass.BAD_OUTPUT] * 2
    lineages = []
    for kind in kinds:
        claimed = take(goal, task.pk)
        lineages.append(claimed.lineage)
        fail(goal, claimed, kind)
    assert len(set(lineages[:6])) == 1
    assert lineages[6] != lineages[5]
    task.refresh_from_db()
    assert (task.state, task.attempts_count, task.attempts_forgiven) == ("failed", 7, 5)
    assert unsound(goal) == []


def test_three_lost_workers_are_a_quarantine_that_keeps_what_killed_them() -> None:
    argv = ["poison", "--now"]
    goal = submit(node("a", agent="command", inputs={"argv": argv}))
    task = task_named(goal, "a")
    for _ in range(3):
        claimed = take(goal, task.pk)
        Attempt.objects.filter(pk=claimed.attempt_id).update(note="opening the file")
        lost_take_back(claimed.attempt_id)
    task.refresh_from_db()
    assert task.state == "failed"
    assert task.reason.startswith("quarantined: 3 workers")
    kept = LedgerEntry.objects.get(goal=goal, event="task.quarantined").payload
    assert kept["inputs"] == {"argv": argv}
    assert (kept["lineage"], kept["note"]) == (claimed.lineage, "opening the file")
    assert ledger_verify(goal.pk) == []


def test_another_agent_takes_over_where_the_plan_names_one(at_once: None) -> None:
    goal = pump(
        submit(
            node(
                "a",
                inputs={"argv": ["true"]},
                output_schema={"type": "object", "required": ["exit_code"]},
                retry={"attempts_max": 2, "fallback_agent": "command"},
            )
        )
    )
    task = task_named(goal, "a")
    assert (goal.state, task.agent, task.lane, task.attempts_count) == (
        "succeeded", "command", "agent", 3,
    )  # fmt: skip
    moves = LedgerEntry.objects.filter(goal=goal, event="task.retried").order_by("seq")
    assert [m.payload["next"] for m in moves] == ["afresh", "other agent"]
    assert unsound(goal) == []


def test_another_model_takes_over_the_journal_after_two_outages(at_once: None) -> None:
    retry = {"models": ["scripted:other"]}
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}, retry=retry))
    task = task_named(goal, "a")
    for _ in range(2):
        claimed = take(goal, task.pk)
        fail(goal, claimed, FailureClass.OUTAGE, model=AWAY)
        time_passes(200)
    task.refresh_from_db()
    assert model_of(task.pk) == "scripted:other"
    assert "goes on with the model scripted:other" in task.reason
    assert attempt_of(goal, "a").lineage == claimed.lineage
    assert Recovery.objects.get(task=task).source == ""


def test_a_person_is_asked_last_where_the_plan_says_so(at_once: None) -> None:
    goal = pump(
        submit(
            node("a", output_schema=NEEDS_MORE, retry={"attempts_max": 2, "on_exhausted": "ask"})
        )
    )
    request = asked_about(goal)
    assert task_named(goal, "a").state == "held"
    assert "could not be done" in request.question
    ada = given.person()
    approval_decide(request.pk, user=ada, decision="respond", reason="try harder")
    goal = pump(goal)
    assert task_named(goal, "a").attempts_count == 4
    again = asked_about(goal)
    approval_decide(again.pk, user=ada, decision="reject", reason="enough")
    goal = pump(goal)
    assert (goal.state, task_named(goal, "a").reason) == ("failed", "rejected by ada: enough")
    assert "task.held" in events(goal)
    assert unsound(goal) == []


def steps(*keys: str) -> Say:
    found = [
        {"key": k, "agent": "noop", "objective": f"do {k}", "inputs": {"part": k}} for k in keys
    ]
    return Say(calls=(("finish", {"steps": found}),))


def test_what_cannot_be_done_is_divided_by_a_planner_and_begun_anew(
    settings: Any, at_once: None
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:divide")
    wrong = Say(calls=(("finish", {"steps": [{"key": "x", "agent": "nobody"}]}),))
    scripted(
        "divide",
        [Say(calls=(("finish", {"no": 1}),))] * 3
        + [wrong, steps("east", "west"), Say(calls=(("finish", {"more": "both"}),))],
    )
    think = node(
        "think", "seed", agent="model", output_schema=NEEDS_MORE, verify=["schema"],
        retry={"attempts_max": 1, "on_exhausted": "replan"},
    )  # fmt: skip
    goal = pump(submit(node("seed"), think, node("last", "think")))
    assert goal.state == "succeeded", goal.reason
    standing = Task.objects.filter(goal=goal).exclude(state="superseded")
    assert dict(standing.values_list("key", "state")) == dict.fromkeys(
        ("seed", "think.plan", "think[east]", "think[west]", "think", "last"), "done"
    )
    plans = Plan.objects.filter(goal=goal).order_by("version")
    assert [plan.planner for plan in plans][:2] == ["explicit", "orchestrator"]
    assert plans[1].rationale.startswith("think is divided: bad_output")
    assert unsound(goal) == []


def test_what_was_divided_and_still_cannot_be_done_is_for_a_person(
    settings: Any, at_once: None
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:still")
    scripted("still", [steps("east")])
    retry = {"attempts_max": 1, "on_exhausted": "replan"}
    goal = pump(submit(node("a", output_schema=NEEDS_MORE, retry=retry)))
    assert "could not be done" in asked_about(goal).question
    assert task_named(goal, "a[east]").state == "done"
    assert unsound(goal) == []


DIVIDED: dict[str, Any] = {
    "output_schema": NEEDS_MORE,
    "retry": {"attempts_max": 1, "on_exhausted": "replan"},
}


def test_when_a_step_of_a_division_fails_a_person_is_asked(settings: Any, at_once: None) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:vain")
    step = {"key": "e", "agent": "command", "objective": "o", "inputs": {"argv": ["false"]}}
    scripted("vain", [Say(calls=(("finish", {"steps": [step]}),))])
    goal = pump(submit(node("a", **DIVIDED), node("z", "a")))
    assert asked_about(goal).task == task_named(goal, "a[e]")
    assert unsound(goal) == []


def test_without_a_model_a_person_is_asked_instead_of_a_planner(at_once: None) -> None:
    goal = pump(submit(node("a", **DIVIDED)))
    request = asked_about(goal)
    assert request.task == task_named(goal, "a.plan")
    assert "no model is configured" in request.question
    assert unsound(goal) == []


def test_a_divided_goal_is_steered_like_any_other(settings: Any, at_once: None) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:steered")
    scripted("steered", [steps("east", "west")])
    goal = pump(submit(node("s"), node("a", "s", **DIVIDED), node("z", "a")))
    assert asked_about(goal).kind == "question"
    last = goal.ledger.count()
    for seq in range(1, last + 1):
        fork = goal_fork(goal.pk, at_seq=seq, actor="ann")
        assert unsound(fork) == []
        goal_cancel(fork.pk, actor="ann")
    task_edit(goal.pk, "a", {"output_schema": {}}, actor="ann")
    assert pump(goal).state == "succeeded"
    assert unsound(goal) == []


def outage_of(size: int) -> Goal:
    """`size` tasks that call the same provider, claimed together; it is away."""
    goal = submit(*(node(f"t{n}", agent="command", inputs={"argv": ["true"]}) for n in range(size)))
    ids = list(Task.objects.filter(goal=goal).order_by("pk").values_list("pk", flat=True))
    for claimed in [take(goal, pk) for pk in ids]:
        fail(goal, claimed, FailureClass.OUTAGE, model=AWAY)
    return goal


def due(goal: Goal) -> list[int]:
    ready = Task.objects.filter(goal=goal, state="ready", due_at__lte=timezone.now())
    return list(ready.order_by("due_at").values_list("pk", flat=True))


def waits(goal: Goal) -> list[float]:
    dues = Task.objects.filter(goal=goal, state="ready").values_list("due_at", flat=True)
    return sorted((d - timezone.now()).total_seconds() for d in dues if d is not None)


def answer_the_probe(goal: Goal) -> None:
    """The provider is back: the one that asks first is answered."""
    probe = Task.objects.filter(goal=goal).order_by("due_at")[0]
    time_passes(60)
    claimed = take(goal, probe.pk)
    paid = {"task_id": probe.pk, "attempt_id": claimed.attempt_id, "tokens": 10, "cost_usd": 0}
    budget_reserve(goal.pk, **paid)
    budget_settle(goal.pk, **paid, usage=Usage(5, 5, 0.0, 1, 0))


def test_two_hours_without_a_provider_burn_no_attempt(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=20.0)
    goal = outage_of(3)
    asked = 0
    for _ in range(720):  # two hours, ten seconds each
        time_passes(10)
        for pk in due(goal):
            asked += 1
            fail(goal, take(goal, pk), FailureClass.OUTAGE, model=AWAY)
    assert 120 <= asked <= 360
    assert set(Task.objects.filter(goal=goal).values_list("state", flat=True)) == {"ready"}
    counts = Task.objects.filter(goal=goal).values_list("attempts_count", "attempts_forgiven")
    assert all(made - forgiven == 1 for made, forgiven in counts)
    lineages = Attempt.objects.filter(task__goal=goal).values_list("task_id", "lineage")
    assert len(set(lineages)) == 3  # one journal each: nothing is paid for twice
    answer_the_probe(goal)
    assert max(waits(goal)) <= 30.0


def test_an_outage_of_a_hundred_tasks_makes_no_storm(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=20.0)  # longer than this takes
    goal = outage_of(100)
    first, second = waits(goal)[:2]
    assert first < 31.0  # the probe
    assert second > 50.0  # everybody else waits behind it
    asked = []
    for _ in range(60):  # ten minutes, ten seconds each
        time_passes(10)
        ready = due(goal)
        asked.append(len(ready))
        for pk in ready:
            claimed = take(goal, pk)
            fail(goal, claimed, FailureClass.OUTAGE, model=AWAY)
    assert max(asked) <= 1
    assert 10 <= sum(asked) <= 40
    counts = Task.objects.filter(goal=goal).values_list("attempts_count", "attempts_forgiven")
    assert all(made - forgiven == 1 for made, forgiven in counts)
    assert max(made for made, _ in counts) <= 3  # the probes take turns

    answer_the_probe(goal)
    assert not Outage.objects.exists()
    back = waits(goal)
    assert len(back) == 99
    assert back[-1] <= 30.0  # all are back within half a minute
    assert back[-1] - back[0] > 5.0  # but not all at once
    assert unsound(goal) == []


def test_a_provider_that_asks_for_time_gets_it() -> None:
    goal = submit(*(node(f"t{n}", agent="command", inputs={"argv": ["true"]}) for n in range(3)))
    for task in Task.objects.filter(goal=goal).order_by("pk"):
        claimed = take(goal, task.pk)
        report = Report(Outcome.FAILED).to_json()
        busy = Retry(
            "rate_limit: slow down",
            300.0,
            rejected=False,
            failure=FailureClass.RATE_LIMIT,
            facts={"model": AWAY},
        )
        with goal_locked(goal.pk) as book:
            finish(book, [Finished(claimed, report, "", (), busy)])
    assert waits(goal)[0] > 299


def test_a_lost_worker_goes_through_the_same_ladder() -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    task = task_named(goal, "a")
    lineages = set()
    for losses in (1, 2, 3):
        claimed = take(goal, task.pk)
        lineages.add(claimed.lineage)
        after = Followups()
        with goal_locked(goal.pk) as book:
            attempts_move(
                book,
                [claimed.attempt_id],
                AttemptEvent.LOST,
                payload={"owner": None},
                fields={"lease_until": None},
            )
            Task.objects.filter(pk=task.pk).update(losses=losses)
            lost = FailureClass.LOST
            task_recover(book, claimed.attempt_id, failure=lost, reason="gone", after=after)
        assert bool(after.unlocked.agents) == (losses < 3)
    task.refresh_from_db()
    assert (task.state, task.attempts_forgiven, len(lineages)) == ("failed", 2, 1)
    assert "task.quarantined" in events(goal)


def test_why_says_what_a_task_waits_for() -> None:
    goal = outage_of(2)
    first, second = Task.objects.filter(goal=goal).order_by("due_at")
    assert "outage: away; asks again first" in why(f"task-{first.pk}").sentence
    assert "waits until it answers others" in why(f"task-{second.pk}").sentence


def test_an_outage_of_which_nothing_is_heard_is_forgotten() -> None:
    goal = outage_of(2)
    time_passes(3600)
    first = Task.objects.filter(goal=goal).order_by("due_at")[0]
    claimed = take(goal, first.pk)
    fail(goal, claimed, FailureClass.OUTAGE, model=AWAY)
    assert Outage.objects.get().level == 0


def test_an_outage_that_is_over_leaves_the_clock_of_a_paused_goal_alone() -> None:
    """It stands still: what it says is moved by the whole pause when the goal is resumed."""
    paused, going = outage_of(2), outage_of(2)
    goal_pause(paused.pk, actor="ann")
    before = list(Task.objects.filter(goal=paused).values_list("pk", "due_at"))
    was = waits(going)
    outage_over(AWAY)
    assert waits(going) != was
    assert list(Task.objects.filter(goal=paused).values_list("pk", "due_at")) == before


def test_many_goals_meet_the_same_outage_at_once() -> None:
    goals = [submit(node("t", agent="command", inputs={"argv": ["true"]})) for _ in range(8)]
    calls = []
    for goal in goals:
        claimed = take(goal, task_named(goal, "t").pk)
        calls.append(lambda g=goal, c=claimed: fail(g, c, FailureClass.OUTAGE, model=AWAY))
    assert at_the_same_time(calls) == [None] * 8
    first = [w[0] for goal in goals if (w := waits(goal)) and w[0] < 30]
    assert len(first) == 1  # one probe for all of them
    for goal in goals:
        assert unsound(goal) == []
