"""What follows from reports and verdicts, once and only once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.utils import timezone

from orchestration.domain.settling import Ask, Yield
from orchestration.models import Attempt, Goal, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.briefs import brief_build
from orchestration.services.fsck import fsck
from orchestration.services.hotpath import Claimed, claim
from orchestration.services.ledger import goal_locked, ledger_verify
from orchestration.services.running import serve, task_serve
from orchestration.services.sessions import session_current
from orchestration.services.settle import Finished, attempt_settle, finish
from orchestration.services.sweep import lost_attempts, lost_take_back
from tests.orchestration.pump import (
    asked_about,
    attempt_of,
    events,
    judge,
    node,
    pump,
    submit,
    task_named,
)
from verification.models import Verdict

pytestmark = pytest.mark.django_db(transaction=True)

NEEDS_MORE = {"type": "object", "required": ["more"]}
EXECUTED = {"verify": ["schema", "execution"], "check": {"argv": ["true"]}}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


def seq_of(goal: Goal) -> int:
    return Goal.objects.values_list("ledger_seq", flat=True).get(pk=goal.pk)


def test_stale_messages_do_nothing() -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    task, before = task_named(goal, "a"), seq_of(goal)
    assert task_serve(task.pk, task.fence + 1) == "not claimable"
    assert task_serve(999_999_999, 0) != "done"
    assert seq_of(goal) == before
    assert task_serve(task.pk, task.fence) == "done"
    after = seq_of(goal)
    assert task_serve(task.pk, task.fence) == "not claimable"
    assert task_serve(task.pk, task.fence + 1) == "not claimable"
    assert seq_of(goal) == after


SECRET = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----"


def test_a_veto_rejects_and_the_next_attempt_starts_fresh_with_the_reasons(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.2)
    goal = submit(node("a", inputs={"key": SECRET}, verify=["schema", "safety"]))
    assert serve() == 1
    first, second = Attempt.objects.filter(goal=goal).order_by("number")
    assert (first.state, second.state) == ("rejected", "queued")
    assert Verdict.objects.get(attempt_id=first.pk, verifier="safety").veto
    assert second.lineage != first.lineage
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep_until(%s)", [task_named(goal, "a").due_at])
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=1, lease_seconds=30, lane="cheap")
        brief = brief_build(book, taken)
    assert (brief.number, brief.lineage) == (2, second.lineage)
    assert brief.reasons == (first.reason,)
    assert "private key" in first.reason.lower()


def test_attempts_are_bounded_and_a_goal_whose_task_failed_fails() -> None:
    goal = pump(
        submit(node("a", output_schema=NEEDS_MORE, retry={"attempts_max": 2}), node("b", "a"))
    )
    assert Attempt.objects.filter(goal=goal, task__key="a").count() == 2
    assert {t.key: t.state for t in Task.objects.filter(goal=goal)} == {
        "a": "failed",
        "b": "cancelled",
    }
    assert (goal.state, goal.reason) == ("failed", "failed: a")
    assert fsck(goal.pk) == []


def test_what_needs_a_failed_optional_task_goes_on_without_it() -> None:
    goal = pump(
        submit(
            node("a", output_schema=NEEDS_MORE, optional=True, retry={"attempts_max": 1}),
            node("b"),
            node("join", "a", "b", agent="collect"),
        )
    )
    assert goal.state == "succeeded"
    output = task_named(goal, "join").accepted_attempt.report["output"]
    assert (output["failed"], output["count"]) == (["a"], 1)
    assert fsck(goal.pk) == []


def test_a_retry_waits_as_a_row_that_is_due_and_not_as_a_message(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=40.0)
    goal = submit(node("a", output_schema=NEEDS_MORE))
    serve()
    task, attempt = task_named(goal, "a"), attempt_of(goal, "a")
    assert (task.state, attempt.state, attempt.number) == ("ready", "queued", 2)
    assert task.due_at is not None
    wait = (task.due_at - timezone.now()).total_seconds()
    assert 30 < wait <= 60
    assert attempt.publish_due_at == task.due_at
    assert serve() == 0


def test_settling_twice_changes_nothing() -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}, **EXECUTED), node("b", "a"))
    task = task_named(goal, "a")
    assert task_serve(task.pk, task.fence) == "done"
    attempt = attempt_of(goal, "a")
    assert (attempt.state, task_named(goal, "a").state) == ("reported", "verifying")
    before = seq_of(goal)
    attempt_settle(attempt.pk)  # too early: a verdict is still out
    assert seq_of(goal) == before
    judge(goal)
    assert task_named(goal, "a").state == "done"
    after = seq_of(goal)
    for _ in range(2):
        again = attempt_settle(attempt.pk)
        assert (again.unlocked.cheap, again.apply, again.verify) == ((), [], [])
    assert seq_of(goal) == after
    assert Attempt.objects.filter(goal=goal, task__key="b").count() == 1


def test_a_verifier_that_says_no_later_also_leads_to_a_fresh_attempt() -> None:
    check = {"verify": ["schema", "execution"], "check": {"argv": ["false"]}}
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}, **check))
    task = task_named(goal, "a")
    task_serve(task.pk, task.fence)
    judge(goal)
    assert [a.state for a in Attempt.objects.filter(goal=goal).order_by("number")] == [
        "rejected",
        "queued",
    ]
    task.refresh_from_db()
    assert (task.state, task.attempts_count) == ("ready", 2)


def finish_as(goal: Goal, disposition: Any) -> Claimed:
    """As a worker ends a slice of work, with what follows from it."""
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=1, lease_seconds=30, task_id=task_named(goal, "a").pk)
    report = {"outcome": "done", "output": {}, "artifacts": [], "proposals": []}
    with goal_locked(goal.pk) as book:
        finish(book, [Finished(taken, report, "h", (), disposition)])
    return taken


def test_a_slice_that_is_used_up_goes_on_with_its_own_journal_and_costs_no_attempt() -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    taken = finish_as(goal, Yield())
    attempt = Attempt.objects.get(goal=goal)
    assert (attempt.state, attempt.number, attempt.lineage) == ("queued", 1, taken.lineage)
    assert task_named(goal, "a").state == "ready"
    assert pump(goal).state == "succeeded"
    assert Attempt.objects.filter(goal=goal).count() == 1
    assert fsck(goal.pk) == []


def test_a_question_holds_the_task_and_its_answer_is_in_the_brief() -> None:
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}))
    finish_as(goal, Ask(question={"text": "Tabs or spaces?", "options": ["tabs", "spaces"]}))
    assert (task_named(goal, "a").state, attempt_of(goal, "a").publish_due_at) == ("held", None)
    assert task_serve(task_named(goal, "a").pk, 1) == "not claimable"
    ann = User.objects.create_superuser("ann")
    approval_decide(asked_about(goal).pk, user=ann, decision="respond", reason="tabs")
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=1, lease_seconds=30, task_id=task_named(goal, "a").pk)
        brief = brief_build(book, taken)
    assert (taken.number, brief.answers[0]["reason"]) == (1, "tabs")
    assert brief.answers[0]["asked"] == "Tabs or spaces?"


@pytest.mark.parametrize(
    "printed", ["a\\000b", "\\377\\376", "\\355\\240\\200", "\\033[31m"], ids=repr
)
def test_whatever_bytes_a_command_prints_its_report_can_be_handed_in(printed: str) -> None:
    argv = ["printf", printed]
    goal = pump(submit(node("a", agent="command", inputs={"argv": argv})))
    assert goal.state == "succeeded"
    assert ledger_verify(goal.pk) == []


def test_text_that_no_database_takes_does_no_harm() -> None:
    goal = pump(submit(node("a", inputs={"x": "a\x00b", "y": "\ud800"}, phase="p\x00")))
    assert goal.state == "succeeded"
    assert ledger_verify(goal.pk) == []


def test_an_agents_failure_is_retried_and_bad_input_is_not() -> None:
    goal = submit(
        node("a", agent="command", inputs={"argv": ["false"]}, retry={"attempts_max": 2}),
        node("b", agent="command", inputs={"argv": ["true"], "cwd": "../.."}),
    )
    pump(goal)
    assert Attempt.objects.filter(goal=goal, task__key="a").count() == 2
    assert Attempt.objects.filter(goal=goal, task__key="b").count() == 1
    assert "bad_input" in task_named(goal, "b").reason


@contextmanager
def database_refuses_reports() -> Iterator[None]:
    """From within PostgreSQL: handing in a report fails, as it would when a disk is full."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_reports() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$;"
            "CREATE TRIGGER no_reports BEFORE UPDATE ON agentsys_orchestration_attempt FOR EACH ROW"
            " WHEN (NEW.report IS NOT NULL) EXECUTE FUNCTION no_reports()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_reports CASCADE")


@pytest.mark.parametrize("agent", ["noop", "command"])
def test_work_that_broke_off_in_a_living_worker_is_taken_back(agent: str, settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, lease_seconds=0.5, heartbeat_seconds=0.05)
    goal = submit(node("a", agent=agent, inputs={"argv": ["true"]}))
    task = task_named(goal, "a")
    with database_refuses_reports(), pytest.raises(DatabaseError):
        serve() if agent == "noop" else task_serve(task.pk, task.fence)
    first = attempt_of(goal, "a")
    assert (first.state, first.owner) == ("running", session_current().id)
    with connection.cursor() as cursor:  # beats many times meanwhile
        cursor.execute("SELECT pg_sleep_until(%s)", [first.lease_until])
    assert lost_attempts() == [first.pk]
    lost_take_back(first.pk)
    assert pump(goal).state == "succeeded"
    assert "attempt.lost" in events(goal)
