"""Claim and settle: one attempt acts, nothing is unlocked twice or missed, stale work is nothing."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from orchestration.models import Attempt, Goal, LedgerEntry, Task
from orchestration.services.hotpath import Accepted, Claimed, accept, claim, goal_next
from orchestration.services.ledger import goal_locked, ledger_verify
from tests.orchestration.rows import queue_roots, running_goal, task_of

pytestmark = pytest.mark.django_db(transaction=True)


def take(goal: Goal, limit: int = 10, owner: int = 1, **named: int) -> list[Claimed]:
    with goal_locked(goal.pk) as book:
        lane = None if named else "cheap"
        return claim(book, owner=owner, lease_seconds=30, lane=lane, limit=limit, **named)


def settle(goal: Goal, claims: list[Claimed]) -> dict[int, int]:
    with goal_locked(goal.pk) as book:
        items = [
            Accepted(c.task_id, c.attempt_id, c.fence, "h", "{}", why={"verdicts": {}})
            for c in claims
        ]
        done, _ = accept(book, items, republish_seconds=5)
        return done


def test_a_claim_takes_lease_and_fence_once() -> None:
    goal = running_goal({"a": []})
    queue_roots(goal)
    (taken,) = take(goal)
    assert (taken.key, taken.fence) == ("a", 1)
    assert take(goal) == []
    attempt = Attempt.objects.get()
    assert (attempt.state, attempt.owner, attempt.publish_due_at) == ("running", 1, None)
    assert attempt.lease_until is not None


def test_a_stale_message_finds_nothing_to_claim() -> None:
    goal = running_goal({"a": []})
    queue_roots(goal)
    task = task_of(goal, "a")
    assert take(goal, task_id=task.pk, fence=7) == []
    assert len(take(goal, task_id=task.pk, fence=0)) == 1


def test_a_dependent_starts_when_its_own_needs_are_accepted_not_when_a_wave_ends() -> None:
    goal = running_goal({"a": [], "b": [], "after_a": ["a"], "join": ["a", "b"]})
    queue_roots(goal)
    first, second = take(goal)
    settle(goal, [first])
    assert task_of(goal, "after_a").state == "ready"
    assert task_of(goal, "join").state == "blocked"
    settle(goal, [second])
    assert task_of(goal, "join").state == "ready"
    join, needed = task_of(goal, "join"), task_of(goal, "b")
    (last,) = [c for c in take(goal) if c.task_id == join.pk]
    join.refresh_from_db()
    assert last.fence == 1
    assert join.started_at and needed.finished_at and join.started_at >= needed.finished_at


def test_settling_twice_or_under_an_old_fence_moves_nothing() -> None:
    goal = running_goal({"a": [], "b": ["a"]})
    queue_roots(goal)
    claims = take(goal)
    stale = [Claimed(*(getattr(claims[0], f) for f in Claimed.__slots__))]
    object.__setattr__(stale[0], "fence", 0)
    assert settle(goal, stale) == {}
    assert Task.objects.filter(state="done").count() == 0
    assert len(settle(goal, claims)) == 1
    assert settle(goal, claims) == {}
    assert Attempt.objects.filter(task__key="b").count() == 1
    assert task_of(goal, "b").unmet == 0


def test_two_parents_that_finish_at_once_make_the_join_ready_exactly_once() -> None:
    for _ in range(10):
        goal = running_goal({"a": [], "b": [], "join": ["a", "b"]})
        queue_roots(goal)
        claims = take(goal)
        barrier = threading.Barrier(2)

        def finish(one: Claimed, goal: Goal = goal, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            settle(goal, [one])
            connection.close()

        threads = [threading.Thread(target=finish, args=(c,)) for c in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        join = task_of(goal, "join")
        assert (join.state, join.unmet) == ("ready", 0)
        assert Attempt.objects.filter(task=join).count() == 1


def test_many_claimers_never_share_a_task() -> None:
    goal = running_goal({f"t{i}": [] for i in range(60)})
    queue_roots(goal)
    taken: list[int] = []
    lock = threading.Lock()

    def work(owner: int) -> None:
        while claims := take(goal, limit=3, owner=owner):
            with lock:
                taken.extend(c.task_id for c in claims)
        connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 60


def test_nothing_is_claimed_from_a_paused_or_finished_goal() -> None:
    goal = running_goal({"a": []})
    queue_roots(goal)
    assert goal_next("cheap") == goal.pk
    Goal.objects.filter(pk=goal.pk).update(paused_at=goal.created_at)
    assert goal_next("cheap") is None
    assert take(goal) == []


def test_goals_take_turns_and_a_higher_priority_goes_first() -> None:
    low, other, high = (running_goal({"a": [], "b": []}, priority=p) for p in (0, 0, 5))
    for goal in (low, other, high):
        queue_roots(goal)
    assert goal_next("cheap") == high.pk
    take(high, limit=2)
    assert goal_next("cheap") == low.pk
    take(low, limit=1)
    assert goal_next("cheap") == other.pk


def test_the_ledger_has_no_gap_and_shows_any_edit() -> None:
    goal = running_goal({"a": [], "b": ["a"]})
    queue_roots(goal)
    settle(goal, take(goal))
    settle(goal, take(goal))
    assert ledger_verify(goal.pk) == []
    seqs = list(LedgerEntry.objects.filter(goal=goal).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE agentsys_orchestration_ledgerentry DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE agentsys_orchestration_ledgerentry SET actor = 'mallory' WHERE seq = 2"
        )
        assert "entry 2" in ledger_verify(goal.pk)[0]
        cursor.execute("DELETE FROM agentsys_orchestration_ledgerentry WHERE seq = %s", [len(seqs)])
        cursor.execute("ALTER TABLE agentsys_orchestration_ledgerentry ENABLE TRIGGER USER")
    assert any("its goal says" in p for p in ledger_verify(goal.pk))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE agentsys_orchestration_ledgerentry SET payload = '{}'",
        "DELETE FROM agentsys_orchestration_ledgerentry",
        'UPDATE agentsys_orchestration_task SET definition = \'{"objective": "other"}\'',
        'UPDATE agentsys_orchestration_goal SET contract = \'{"objective": "other"}\'',
        "UPDATE agentsys_orchestration_goal SET ledger_seq = 0",
        "UPDATE agentsys_orchestration_task SET fence = 0",
        "UPDATE agentsys_orchestration_plan SET document = '{\"tasks\": [1]}'",
        "UPDATE agentsys_orchestration_task SET state = 'bogus'",
        "UPDATE agentsys_orchestration_task SET state = 'done', finished_at = now()",
    ],
)
def test_the_database_refuses_what_the_code_never_does(statement: str) -> None:
    goal = running_goal({"a": []})
    queue_roots(goal)
    take(goal)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_database_refuses_a_second_open_attempt() -> None:
    goal = running_goal({"a": []})
    queue_roots(goal)
    task = task_of(goal, "a")
    with pytest.raises(IntegrityError), transaction.atomic():
        Attempt.objects.create(task=task, goal=goal, number=2, lineage="x", lane="cheap")
