"""`fsck` finds every broken invariant, mends what has one safe repair, and cries no wolf."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agentsys.kernel.errors import NotFound
from orchestration.models import (
    ApprovalRequest,
    Attempt,
    Budget,
    Decision,
    Dependency,
    Goal,
    LedgerEntry,
    Proposal,
    ScopeLease,
    Task,
)
from orchestration.services.budgets import budget_reserve
from orchestration.services.fsck import INVARIANTS, fsck
from tests import factories as given
from tests.orchestration.test_swarm_faults import BREAKAGES as SWARM_BREAKAGES
from workers.models import Effect, Step

pytestmark = pytest.mark.django_db


HOUR = timedelta(hours=1)


def healthy() -> Goal:
    """A goal with a task in every state, as the services leave them."""
    goal = given.goal()
    done = given.task(goal, "done", state="done")
    Task.objects.filter(pk=done.pk).update(
        started_at=timezone.now() - HOUR, finished_at=timezone.now() - HOUR / 2
    )
    done.refresh_from_db()
    lost = given.task(goal, "optional", state="failed", optional=True)
    for state in ("ready", "running", "verifying"):
        given.task(goal, state, state=state, needs=[done])
    held = given.task(goal, "held", state="held")
    given.approval(held, about=given.proposal(held))
    given.task(goal, "blocked", needs=[held, done, lost])
    return goal


def broken(goal: Goal) -> set[str]:
    return {f.invariant for f in fsck(goal.pk)}


def task(goal: Goal, key: str) -> Task:
    return Task.objects.get(goal=goal, key=key)


def last(goal: Goal, key: str) -> Attempt:
    return Attempt.objects.filter(task__goal=goal, task__key=key).order_by("number").last()


def test_a_healthy_goal_has_no_findings():
    assert fsck(healthy().pk) == []


def test_an_unknown_goal_is_not_found():
    with pytest.raises(NotFound):
        fsck(10**9)


def start_too_early(goal: Goal) -> None:
    Dependency.objects.create(task=task(goal, "running"), needs=task(goal, "held"))


def miscount(goal: Goal) -> None:
    Task.objects.filter(pk=task(goal, "blocked").pk).update(unmet=7)


def unaccept(goal: Goal) -> None:
    Attempt.objects.filter(pk=last(goal, "done").pk).update(state="rejected")


def accept_the_undone(goal: Goal) -> None:
    Attempt.objects.filter(pk=last(goal, "verifying").pk).update(
        state="accepted", finished_at=timezone.now()
    )
    given.verdict(last(goal, "verifying"))


def accept_twice(goal: Goal) -> None:
    given.attempt(task(goal, "done"), state="accepted")


def open_twice(goal: Goal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX attempt_one_open_a_task")
    given.attempt(task(goal, "running"), state="reported")


def forget_verdicts(goal: Goal) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM agentsys_verification_verdict")


def accept_a_fail(goal: Goal) -> None:
    given.verdict(last(goal, "done"), "semantic", "fail")


def accept_a_veto(goal: Goal) -> None:
    given.verdict(last(goal, "done"), "safety", "fail", veto=True)


def run_without_attempt(goal: Goal) -> None:
    Attempt.objects.filter(pk=last(goal, "running").pk).update(
        state="lost", finished_at=timezone.now()
    )


def run_for_an_idle_task(goal: Goal) -> None:
    Task.objects.filter(pk=task(goal, "running").pk).update(state="verifying")


def disagree_about_the_fence(goal: Goal) -> None:
    Task.objects.filter(pk=task(goal, "running").pk).update(fence=5)


def lose_the_queued_attempt(goal: Goal) -> None:
    last(goal, "ready").delete()


def queue_for_a_blocked_task(goal: Goal) -> None:
    given.attempt(task(goal, "blocked"), state="queued")


def forget_to_publish(goal: Goal) -> None:
    Attempt.objects.filter(pk=last(goal, "ready").pk).update(publish_due_at=None)


def end_the_goal_early(goal: Goal) -> None:
    Goal.objects.filter(pk=goal.pk).update(state="succeeded", finished_at=timezone.now())


def keep_a_scope(goal: Goal) -> None:
    hold(goal, "done", "repo:src/**")


def hold(goal: Goal, key: str, resource: str, *, exclusive: bool = True) -> None:
    ScopeLease.objects.create(
        project=goal.project, task=task(goal, key), resource=resource, exclusive=exclusive
    )


def overlap(goal: Goal) -> None:
    hold(goal, "running", "repo:src/**")
    hold(goal, "verifying", "repo:src/a.py", exclusive=False)


def forget_to_apply(goal: Goal) -> None:
    given.proposal(task(goal, "verifying"), state="approved", decided_at=timezone.now() - HOUR)


def claim_twice_under_one_fence(goal: Goal) -> None:
    given.attempt(task(goal, "optional"), state="failed")


def journal_beyond_the_fence(goal: Goal) -> None:
    attempt = last(goal, "done")
    Step.objects.create(
        lineage=attempt.lineage,
        index=0,
        attempt_id=attempt.pk,
        fence=attempt.fence + 1,
        kind="tool",
        name="read",
        request={},
        state="done",
        finished_at=timezone.now(),
    )


def apply_unasked(goal: Goal) -> None:
    given.proposal(task(goal, "verifying"), state="applied")


def leave_in_doubt(goal: Goal) -> None:
    effect(last(goal, "held"), "proposal-1", state="doubtful", settled_at=timezone.now() - HOUR)


def effect(attempt: Attempt, key: str, **fields: Any) -> Effect:
    defaults = {"kind": "action", "fence": attempt.fence, "request": {}, "request_hash": "0" * 64}
    return Effect.objects.create(key=key, attempt_id=attempt.pk, **{**defaults, **fields})


BREAKAGES: list[tuple[Callable[[Goal], None], str]] = [
    (start_too_early, "dag-order"),
    (miscount, "unmet-count"),
    (unaccept, "done-is-accepted"),
    (accept_the_undone, "accepted-is-done"),
    (accept_twice, "one-accepted"),
    (open_twice, "one-open"),
    (forget_verdicts, "accepted-has-verdicts"),
    (forget_verdicts, "accepted-was-passed"),
    (accept_a_fail, "fail-stands"),
    (accept_a_veto, "veto-stands"),
    (run_without_attempt, "running-is-attempted"),
    (run_for_an_idle_task, "running-is-leased"),
    (disagree_about_the_fence, "fence-agrees"),
    (lose_the_queued_attempt, "ready-is-queued"),
    (queue_for_a_blocked_task, "queued-is-ready"),
    (forget_to_publish, "queued-is-published"),
    (end_the_goal_early, "ended-goal-has-ended-tasks"),
    (end_the_goal_early, "approvals-end-with-goals"),
    (keep_a_scope, "scopes-are-released"),
    (overlap, "scopes-are-apart"),
    (forget_to_apply, "approved-is-applied"),
    (claim_twice_under_one_fence, "fences-rise"),
    (journal_beyond_the_fence, "steps-keep-their-fence"),
    (apply_unasked, "effects-were-approved"),
    (leave_in_doubt, "doubts-are-asked"),
]


@pytest.mark.parametrize(("breakage", "name"), BREAKAGES, ids=lambda p: getattr(p, "__name__", p))
def test_each_breakage_is_found(breakage: Callable[[Goal], None], name: str):
    goal = healthy()
    breakage(goal)
    assert name in broken(goal)


def test_every_invariant_has_a_test_that_breaks_it():
    elsewhere = {"budget-is-settled", "running-goal-has-work"}
    elsewhere |= {"swarm-leases-have-shifts", *SWARM_BREAKAGES}
    assert {name for _, name in BREAKAGES} | elsewhere == {i.name for i in INVARIANTS}


def test_a_reservation_is_only_a_finding_while_nothing_runs():
    goal = given.goal()
    running = given.task(goal, "running", state="running")
    attempt = Attempt.objects.get(task=running)
    budget_reserve(goal.pk, tokens=100, cost_usd=0.5, task_id=running.pk, attempt_id=attempt.pk)
    assert fsck(goal.pk) == []
    Attempt.objects.filter(task=running).update(state="failed", finished_at=timezone.now())
    Task.objects.filter(pk=running.pk).update(state="failed", finished_at=timezone.now())
    assert "budget-is-settled" in broken(goal)
    assert all(f.repaired for f in fsck(goal.pk, repair=True) if f.ref.startswith("budget"))
    budget = Budget.objects.get(goal=goal)
    assert (budget.tokens_reserved, budget.cost_usd_reserved, budget.calls_reserved) == (0, 0, 0)
    assert "budget-is-settled" not in broken(goal)


def test_a_goal_has_a_minute_to_end_after_its_last_task():
    goal = given.goal()
    done = given.task(goal, "done", state="done")
    assert fsck(goal.pk) == []
    Task.objects.filter(pk=done.pk).update(
        started_at=timezone.now() - HOUR, finished_at=timezone.now() - HOUR / 2
    )
    assert broken(goal) == {"running-goal-has-work"}


def test_an_optional_need_that_is_tried_again_later_breaks_no_order():
    goal = given.goal()
    need = given.task(goal, "need", state="failed", optional=True)
    Attempt.objects.filter(task=need).update(finished_at=timezone.now() - HOUR)
    given.task(goal, "went-on", state="running", needs=[need])
    Task.objects.filter(pk=need.pk).update(state="blocked", finished_at=None)
    assert fsck(goal.pk) == []


def test_what_a_person_approved_needs_no_verifier():
    goal = healthy()
    forget_verdicts(goal)
    given.approval(task(goal, "done"), kind="verdict", state="approved")
    assert fsck(goal.pk) == []


@pytest.mark.parametrize(
    "breakage", [miscount, keep_a_scope, forget_to_publish, queue_for_a_blocked_task]
)
def test_what_has_one_safe_repair_is_repaired_in_the_ledger(breakage: Callable[[Goal], None]):
    goal = healthy()
    breakage(goal)
    findings = fsck(goal.pk, repair=True)
    assert [f.repaired for f in findings] == [True]
    assert fsck(goal.pk) == []
    entries = LedgerEntry.objects.filter(goal=goal, event="fsck.repaired")
    assert entries.get().payload["ref"] == findings[0].ref


def test_what_has_no_safe_repair_is_left_alone():
    goal = healthy()
    accept_a_veto(goal)
    seq = Goal.objects.get(pk=goal.pk).ledger_seq
    findings = fsck(goal.pk, repair=True)
    assert [f.repaired for f in findings] == [False]
    assert Goal.objects.get(pk=goal.pk).ledger_seq == seq


def test_a_broken_ledger_is_found():
    goal = healthy()
    Goal.objects.filter(pk=goal.pk).update(ledger_head="0" * 64)
    assert broken(goal) == {"ledger"}


def test_one_goal_may_be_checked_without_the_others():
    fine, bad = healthy(), given.goal()
    given.task(bad, "lonely", state="ready", with_attempt=False)
    assert fsck(fine.pk) == []
    assert {f.goal_id for f in fsck()} == {bad.pk}


def executed(goal: Goal, *, quorum: int = 1) -> Proposal:
    """An action that was approved and carried out, as the services leave it."""
    row = task(goal, "verifying")
    payload = {"argv": ["rm", "-r", "build"], "why": "it is old", "timeout_seconds": 20}
    proposal = given.proposal(row, state="applied", payload=payload)
    approve(given.approval(row, about=proposal, quorum=quorum))
    request = {"argv": payload["argv"], "writable": [], "network": False, "timeout_seconds": 20.0}
    effect(
        proposal.attempt,
        f"proposal-{proposal.pk}",
        state="confirmed",
        request=request,
        settled_at=timezone.now(),
    )
    return proposal


def approve(request: ApprovalRequest, **decision: Any) -> None:
    request.state = "approved"
    request.save(update_fields=["state"])
    facts = {"decision": "approve", "action_hash": request.action_hash, **decision}
    user = given.person(f"person-{request.pk}", None)
    with connection.cursor() as cursor:  # else the database itself refuses what must be found here
        cursor.execute("SET session_replication_role = replica")
        Decision.objects.create(request=request, user=user, **facts)
        cursor.execute("SET session_replication_role = DEFAULT")


def test_what_was_approved_and_executed_as_it_stands_is_no_finding():
    goal = healthy()
    executed(goal)
    assert fsck(goal.pk) == []


def test_what_a_person_edited_and_approved_is_no_finding():
    goal = healthy()
    row = task(goal, "verifying")
    original = given.proposal(row, state="withdrawn")
    request = given.approval(row, about=original)
    approve(request, decision="edit", payload={"argv": ["rm", "a"]})
    given.proposal(row, state="applied", payload={**original.payload, "argv": ["rm", "a"]})
    assert fsck(goal.pk) == []
    given.proposal(row, state="applied", payload={**original.payload, "argv": ["rm", "b"]})
    assert broken(goal) == {"effects-were-approved"}


def without_a_decision(goal: Goal) -> None:
    proposal = given.proposal(task(goal, "verifying"), state="applied")
    given.approval(task(goal, "verifying"), about=proposal, state="approved")


def expired(goal: Goal) -> None:
    ApprovalRequest.objects.filter(proposal=executed(goal)).update(state="expired")


def for_other_bytes(goal: Goal) -> None:
    ApprovalRequest.objects.filter(proposal=executed(goal)).update(action_hash="0" * 64)


def twice(goal: Goal) -> None:
    approve(given.approval(task(goal, "verifying"), about=executed(goal)))


def by_too_few(goal: Goal) -> None:
    executed(goal, quorum=2)


def with_another_command(goal: Goal) -> None:
    executed(goal)
    Effect.objects.update(request={"argv": ["rm", "-r", "/"], "writable": [], "network": False})


def with_the_network(goal: Goal) -> None:
    executed(goal)
    row = Effect.objects.get()
    row.request["network"] = True
    row.save()


@pytest.mark.parametrize(
    "breach",
    [without_a_decision, expired, for_other_bytes, twice, by_too_few, with_another_command,
     with_the_network],
)  # fmt: skip
def test_an_effect_has_exactly_one_approval_of_the_bytes_executed(breach: Callable[[Goal], None]):
    goal = healthy()
    breach(goal)
    assert broken(goal) == {"effects-were-approved"}


def test_a_change_within_its_scope_needs_no_person_unless_its_task_says_so():
    goal = healthy()
    row = task(goal, "verifying")
    given.proposal(row, kind="change", risk="write", state="applied", payload={"commit": "c"})
    assert fsck(goal.pk) == []
    definition = {**row.definition, "approval": {"required": True}}
    strict = given.task(goal, "strict", state="verifying", definition=definition)
    given.proposal(strict, kind="change", risk="write", state="applied", payload={"commit": "c"})
    assert broken(goal) == {"effects-were-approved"}


def test_a_doubt_that_a_person_is_asked_about_is_no_finding():
    goal = healthy()
    leave_in_doubt(goal)
    given.approval(task(goal, "held"), kind="effect")
    assert fsck(goal.pk) == []


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("repo:src", "repo:src/a.py", True),
        ("repo:src/a.py", "repo:src", True),
        ("repo:src/**", "repo:**", True),
        ("repo:src/a.py", "repo:src/a.py", True),
        ("repo:src/*.py", "repo:src/a*", True),
        ("repo:src/a.py", "repo:src/b.py", False),
        ("repo:src", "repo:source", False),
        ("repo:src", "api:src", False),
    ],
)
def test_scopes_overlap_whatever_the_order_they_were_taken_in(one: str, other: str, clash: bool):
    goal = healthy()
    hold(goal, "running", one)
    hold(goal, "verifying", other, exclusive=False)
    assert (broken(goal) == {"scopes-are-apart"}) is clash


def test_scopes_of_different_repositories_are_apart():
    goal = healthy()
    hold(goal, "running", "repo:src/**")
    hold(goal, "verifying", "repo:src/**", exclusive=False)
    ScopeLease.objects.filter(exclusive=False).update(space="/elsewhere")
    assert fsck(goal.pk) == []


def test_a_deep_check_compares_the_tables_with_the_ledger():
    goal = healthy()
    assert {f.invariant for f in fsck(goal.pk, deep=True)} == {"rebuild"}  # rows without entries
