"""Losing a worker, or any message, costs time and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from agentsys import conf
from orchestration.domain.settling import (
    Accept,
    Ask,
    Disposition,
    Fail,
    Propose,
    Retry,
    Review,
    Verify,
    Yield,
)
from orchestration.models import ApprovalRequest, Attempt, Goal, Task, WorkerSession
from orchestration.services import executing
from orchestration.services.hotpath import Claimed, claim
from orchestration.services.ledger import goal_locked
from orchestration.services.pausing import goal_pause, goal_resume
from orchestration.services.running import serve
from orchestration.services.sessions import LOCK_CLASS, SWEEP_LOCK
from orchestration.services.settle import Finished, finish
from orchestration.services.sweep import (
    attempts_publish,
    lost_attempts,
    lost_take_back,
    stalled,
    sweep,
)
from tests.orchestration.connections import another_connection
from tests.orchestration.pump import attempt_of, node, pump, submit, task_named

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def living_worker() -> Iterator[int]:
    """The session of another worker process, alive while the context lasts."""
    session = WorkerSession.objects.create(host="elsewhere", pid=1)
    with another_connection() as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, session.pk])
        yield session.pk


def take(goal: Goal, owner: int) -> Claimed:
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=owner, lease_seconds=30, lane="cheap")
    return taken


def test_what_a_dead_worker_held_is_taken_back_and_its_successor_continues_the_journal() -> None:
    goal = submit(node("a"))
    with living_worker() as owner:
        taken = take(goal, owner)
        assert lost_attempts() == []
    assert lost_attempts() == [taken.attempt_id]
    counts = sweep()
    assert counts is not None
    assert counts["taken_back"] == 1
    first, second = Attempt.objects.filter(goal=goal).order_by("number")
    assert (first.state, second.state) == ("lost", "queued")
    assert second.lineage == first.lineage
    lost_take_back(first.pk)  # once more: nothing
    assert Attempt.objects.filter(goal=goal).count() == 2
    assert pump(goal).state == "succeeded"


def test_a_lease_that_ran_out_is_enough_to_take_work_back() -> None:
    goal = submit(node("a"))
    with living_worker() as owner:
        taken = take(goal, owner)
        Attempt.objects.filter(pk=taken.attempt_id).update(lease_until=timezone.now())
        assert lost_attempts() == [taken.attempt_id]
        lost_take_back(taken.attempt_id)
    assert attempt_of(goal, "a").number == 2
    assert attempts_publish() == 1  # the silent worker may have swallowed the first message


def test_what_a_dead_worker_held_is_sent_once() -> None:
    goal = submit(node("a"))
    lost_take_back(take(goal, owner=1).attempt_id)
    assert attempt_of(goal, "a").state == "queued"
    assert attempts_publish() == 0


def test_the_third_lost_worker_quarantines_the_task() -> None:
    goal = submit(node("a"), node("b", "a"))
    for number in (1, 2, 3):
        taken = take(goal, owner=1)
        assert taken.number == number
        lost_take_back(taken.attempt_id)
    task = task_named(goal, "a")
    assert (task.state, task.losses) == ("failed", 3)
    assert "quarantined" in task.reason
    assert pump(goal).state == "failed"


@pytest.mark.parametrize(
    "disposition",
    [
        Accept(),
        Propose(),
        Verify(pairs=()),
        Yield(),
        Ask(question={"text": "?"}),
        Review(reasons=("look",)),
        Retry(reason="r", delay_seconds=0, rejected=False),
        Retry(reason="r", delay_seconds=0, rejected=True),
        Fail(reason="r", rejected=False),
        Fail(reason="r", rejected=True),
    ],
    ids=repr,
)
def test_a_worker_that_comes_back_from_the_dead_has_no_say(disposition: Disposition) -> None:
    goal = submit(node("a"))
    taken = take(goal, owner=1)
    lost_take_back(taken.attempt_id)
    length = Goal.objects.get(pk=goal.pk).ledger_seq
    report = {"outcome": "done", "output": {"echo": {}}, "artifacts": [], "proposals": []}
    late = Finished(taken, report, "h", (), disposition)
    with goal_locked(goal.pk) as book:
        after = finish(book, [late])
    assert (after.unlocked.cheap, after.unlocked.agents, after.apply) == ((), (), [])
    assert task_named(goal, "a").state == "ready"
    assert Attempt.objects.get(pk=taken.attempt_id).state == "lost"
    assert ApprovalRequest.objects.count() == 0
    assert Goal.objects.get(pk=goal.pk).ledger_seq == length


def test_queued_rows_are_sent_again_less_and_less_often_until_claimed() -> None:
    goal = submit(node("a"))
    assert attempts_publish() == 0
    gaps = []
    for _ in range(6):
        Attempt.objects.filter(goal=goal).update(publish_due_at=timezone.now())
        before = timezone.now()
        assert attempts_publish() == 1
        row = attempt_of(goal, "a")
        assert row.publish_due_at is not None
        gaps.append(round((row.publish_due_at - before).total_seconds()))
    assert gaps == [5, 10, 20, 40, 60, 60]
    assert attempt_of(goal, "a").publishes == 6
    assert serve() == 1
    assert attempt_of(goal, "a").publish_due_at is None
    assert attempts_publish() == 0


def test_nothing_is_sent_for_what_waits_for_its_time_or_is_paused() -> None:
    goal = submit(node("a"))
    due = timezone.now() - timedelta(seconds=1)
    Attempt.objects.filter(goal=goal).update(publish_due_at=due)
    goal_pause(goal.pk, actor="me")
    assert attempts_publish() == 0
    goal_resume(goal.pk, actor="me")
    goal.tasks.update(due_at=timezone.now() + timedelta(hours=1))
    assert attempts_publish() == 0
    goal.tasks.update(due_at=due)
    assert attempts_publish() == 1


def test_a_goal_in_which_nothing_moves_is_looked_at_again() -> None:
    goal = submit(node("a"), node("b", "a"))
    serve()
    Goal.objects.filter(pk=goal.pk).update(
        state="running", finished_at=None
    )  # as after a lost bell
    assert stalled() == [goal.pk]
    sweep()
    goal.refresh_from_db()
    assert goal.state == "succeeded"
    assert stalled() == []


def test_a_reported_attempt_whose_settle_was_lost_is_settled_by_the_sweep() -> None:
    from orchestration.services.running import task_serve
    from orchestration.services.verdicts import attempt_verify

    check = {"verify": ["schema", "execution"], "check": {"argv": ["true"]}}
    goal = submit(node("a", agent="command", inputs={"argv": ["true"]}, **check))
    task_serve(task_named(goal, "a").pk, 0)
    attempt_verify(attempt_of(goal, "a").pk, "execution", "")
    assert task_named(goal, "a").state == "verifying"
    sweep()
    assert task_named(goal, "a").state == "done"


def test_only_one_sweeps_at_a_time() -> None:
    with another_connection() as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", list(SWEEP_LOCK))
        assert sweep() is None
        other.execute("SELECT pg_advisory_unlock(%s, %s)", list(SWEEP_LOCK))
        assert sweep() is not None


def test_a_process_without_a_session_that_was_stopped_holds_its_goal_no_longer_than_a_lease() -> (
    None
):
    goal = submit(node("a"))
    short = conf.database("", lease_seconds=0.3)["OPTIONS"]["options"]
    with another_connection(options=short) as stopped, stopped.transaction():
        stopped.execute("SELECT id FROM agentsys_orchestration_goal FOR UPDATE")
        with goal_locked(goal.pk):  # waits until the server has cut the other one's session
            pass
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            stopped.execute("SELECT 1")
        stopped.close()


def test_the_sweep_waits_for_nobodys_lock_longer_than_a_lease(settings: Any) -> None:
    """As when somebody looks at a goal in a terminal, locks it, and goes to lunch."""
    looked_at, other = submit(node("a")), submit(node("a"))
    taken = [take(goal, owner=1) for goal in (looked_at, other)]
    settings.AGENTSYS = replace(settings.AGENTSYS, lease_seconds=0.5)
    with another_connection() as person, person.transaction():
        lock = "SELECT id FROM agentsys_orchestration_goal WHERE id = %s FOR UPDATE"
        person.execute(lock, [looked_at.pk])
        sweep()
    assert Attempt.objects.get(pk=taken[0].attempt_id).state == "running"
    assert Attempt.objects.get(pk=taken[1].attempt_id).state == "lost"
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_one_row_that_cannot_be_handled_does_not_stop_the_others(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, lost_max=9)
    bad, good = submit(node("a")), submit(node("a"))
    taken = [take(goal, owner=1) for goal in (bad, good)]
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_loss() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;"
            "CREATE TRIGGER no_loss BEFORE UPDATE ON agentsys_orchestration_attempt FOR EACH ROW"
            f" WHEN (NEW.id = {taken[0].attempt_id} AND NEW.state = 'lost')"
            " EXECUTE FUNCTION no_loss()"
        )
    try:
        sweep()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_loss CASCADE")
    assert Attempt.objects.get(pk=taken[0].attempt_id).state == "running"
    assert Attempt.objects.get(pk=taken[1].attempt_id).state == "lost"


def test_a_second_open_attempt_is_refused_in_every_open_state() -> None:
    goal = submit(node("a"))
    task = task_named(goal, "a")
    for number, state in enumerate(("queued", "reported"), start=2):
        with pytest.raises(IntegrityError), transaction.atomic():
            Attempt.objects.create(
                task=task, goal=goal, number=number, lineage="x", lane="cheap", state=state
            )


def test_a_task_that_kills_workers_takes_none_of_its_batch_with_it() -> None:
    """Three workers die, each with all that it had claimed; the poison is claimed alone after the
    first, so that only it is quarantined."""
    goal = submit(*(node(f"t{n}") for n in range(5)), node("poison", optional=True))
    poison = task_named(goal, "poison")
    deaths = 0
    for owner in range(901, 930):
        with goal_locked(goal.pk) as book:
            claims = claim(book, owner=owner, lease_seconds=30, lane="cheap", limit=10)
            briefs = executing.briefs_of(book, claims)
        if not claims:
            break
        if poison.pk in {c.task_id for c in claims}:
            deaths += 1
            assert deaths == 1 or len(claims) == 1
            lost_take_back(*(c.attempt_id for c in claims))
            continue
        batch = [
            executing.attempt_do(c, b, None).finished for c, b in zip(claims, briefs, strict=True)
        ]
        with goal_locked(goal.pk) as book:
            finish(book, batch)
    assert deaths == 3
    poison.refresh_from_db()
    assert (poison.state, poison.losses) == ("failed", 3)
    assert "quarantined" in poison.reason
    assert Task.objects.filter(goal=goal, state="done").count() == 5
