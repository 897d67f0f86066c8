"""One attempt accepted in one statement: the same as under the goal's lock, or nothing at all."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from orchestration.models import Attempt, Goal, LedgerEntry
from orchestration.services import hotpath, statements
from orchestration.services.fsck import fsck
from orchestration.services.hotpath import Accepted, Claimed, accept, accept_alone, claim
from orchestration.services.ledger import goal_locked, ledger_verify
from tests.acceptance.workers import wait_for
from tests.orchestration.connections import another_connection
from tests.orchestration.rows import queue_roots, running_goal, task_of
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from verification.services import VerdictRow, verdicts_of

pytestmark = pytest.mark.django_db(transaction=True)

DIAMOND: dict[str, list[str]] = {"a": [], "left": ["a"], "right": ["a"], "join": ["left", "right"]}
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%book%'
"""
GATE = 471_100  # the advisory lock that a statement is held up by, after it began


def taken(goal: Goal) -> list[Claimed]:
    with goal_locked(goal.pk) as book:
        return claim(book, owner=1, lease_seconds=30, lane="cheap", limit=10)


def item(one: Claimed) -> Accepted:
    why = {"verdicts": {"schema": "pass"}, "overruled": 'naïve "quotes" \\ 日本\n'}
    return Accepted(
        one.task_id, one.attempt_id, one.fence, "h", '{"outcome":"done"}', 7, 0.5, why=why
    )


def verdict(goal: Goal, one: Claimed) -> VerdictRow:
    draft = VerdictDraft("schema", Kind.SCHEMA, VerdictOutcome.PASS, reasons=("fits",))
    return VerdictRow(one.attempt_id, goal.pk, draft, "schema", "", Kind.SCHEMA, "s", "h")


def alone(goal: Goal, one: Claimed) -> Any:
    return accept_alone(goal.pk, item(one), [verdict(goal, one)], republish_seconds=5)


def entries(goal: Goal) -> list[tuple[Any, ...]]:
    rows = LedgerEntry.objects.filter(goal=goal).order_by("seq")
    return list(rows.values_list("seq", "event", "actor", "payload"))


def test_it_leaves_what_accepting_under_the_lock_leaves() -> None:
    left = []
    for way in ("alone", "locked"):
        goal = running_goal(DIAMOND)
        queue_roots(goal)
        while claims := taken(goal):
            for one in claims:
                if way == "alone":
                    assert alone(goal, one) is not None
                else:
                    with goal_locked(goal.pk) as book:
                        accept(book, [item(one)], [verdict(goal, one)], republish_seconds=5)
        assert ledger_verify(goal.pk) == []
        assert fsck(goal.pk) == []
        attempts = Attempt.objects.filter(goal=goal).order_by("task__pk")  # siblings in any order
        assert all(len(v) == 1 for v in verdicts_of([a.pk for a in attempts]).values())
        left.append(
            (
                [(e[0], e[1], e[2], _relative(e[3], goal)) for e in entries(goal)],
                list(
                    attempts.values_list(
                        "state", "task__state", "task__unmet", "task__key", "report", "tokens",
                        "cost_usd", "artifact_hash", "number", "lane", "publishes",
                    )
                ),
            )
        )  # fmt: skip
    assert left[0] == left[1]
    assert [e[1] for e in left[0][0]].count("tasks.unblocked") == 2


def _relative(payload: Any, goal: Goal) -> Any:
    """With ids counted from the goal's first, so that two goals can be compared."""
    root = task_of(goal, "a").pk
    if "tasks" in payload:
        return {"tasks": [task - root for task in payload["tasks"]]}
    if "claims" in payload:
        return sorted([task - root, fence] for task, _, fence in payload["claims"])
    return payload


def test_it_says_what_it_unlocked() -> None:
    goal = running_goal(DIAMOND)
    queue_roots(goal)
    (root,) = taken(goal)
    unlocked = alone(goal, root)
    assert unlocked.cheap == (task_of(goal, "left").pk, task_of(goal, "right").pk)
    assert (unlocked.agents, unlocked.expandable) == ((), ())


def test_twice_or_under_an_old_fence_it_writes_nothing() -> None:
    goal = running_goal(DIAMOND)
    queue_roots(goal)
    (root,) = taken(goal)
    stale = Accepted(root.task_id, root.attempt_id, root.fence - 1, "h", "{}")
    before = entries(goal)
    assert accept_alone(goal.pk, stale, [verdict(goal, root)], republish_seconds=5) is None
    assert entries(goal) == before
    assert verdicts_of([root.attempt_id]).get(root.attempt_id, []) == []
    assert alone(goal, root) is not None
    after = entries(goal)
    assert alone(goal, root) is None
    assert entries(goal) == after


@pytest.mark.parametrize(("tries", "settled"), [(1, False), (2, True)])
def test_a_goal_that_its_last_holder_changed_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, tries: int, settled: bool
) -> None:
    monkeypatch.setattr(hotpath, "ALONE_TRIES", tries)
    goal = running_goal(DIAMOND)
    queue_roots(goal)
    (root,) = taken(goal)
    with goal_locked(goal.pk) as book:
        thread, said = begun(goal, root)
        book.record("goal.prioritised", actor="somebody", payload={"from": 0, "to": 1})
    thread.join()
    assert [found is not None for found in said] == [settled]
    assert task_of(goal, "a").state == ("done" if settled else "running")
    assert ledger_verify(goal.pk) == []


def test_a_goal_that_was_changed_after_the_statement_began_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the statement sees may be older than the lock that it then gets at once."""
    monkeypatch.setattr(hotpath, "ALONE_TRIES", 1)
    goal = running_goal(DIAMOND)
    queue_roots(goal)
    (root,) = taken(goal)
    gated = statements.ACCEPT_ALONE.replace(
        "WITH book AS MATERIALIZED (",
        f"WITH gate AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared({GATE}) AS passed),"
        " book AS MATERIALIZED (",
    ).replace("FOR NO KEY", "AND (SELECT passed FROM gate) IS NOT NULL FOR NO KEY")
    monkeypatch.setattr(statements, "ACCEPT_ALONE", gated)
    with another_connection() as gate, gate.transaction():
        gate.execute("SELECT pg_advisory_xact_lock(%s)", [GATE])
        thread, said = begun(goal, root)
        with goal_locked(goal.pk) as book:
            book.record("goal.prioritised", actor="somebody", payload={"from": 0, "to": 1})
    thread.join()
    assert said == [None]
    assert task_of(goal, "a").state == "running"
    assert alone(goal, root) is not None
    assert ledger_verify(goal.pk) == []


def begun(goal: Goal, one: Claimed) -> tuple[threading.Thread, list[Any]]:
    """`alone` in a thread that waits for a lock by now; the list has what it returns."""
    said: list[Any] = []

    def settle() -> None:
        try:
            said.append(alone(goal, one))
        finally:
            connection.close()

    thread = threading.Thread(target=settle)
    thread.start()
    with another_connection() as watch:  # of its own: in a transaction activity is seen once
        wait_for(lambda: bool(watch.execute(WAITING).fetchone()[0]))
    return thread, said


def test_a_claim_that_a_savepoint_took_back_leaves_a_ledger_without_it() -> None:
    goal = running_goal(DIAMOND)
    queue_roots(goal)
    before = len(entries(goal))
    with goal_locked(goal.pk) as book:
        book.record("goal.directed", actor="ann", payload={"directive": 1, "text": "waits"})
        mark = book.mark()
        with transaction.atomic():
            assert claim(book, owner=1, lease_seconds=30, lane="cheap", limit=1)
            transaction.set_rollback(True)
        book.back_to(mark)
        book.record("goal.directed", actor="ann", payload={"directive": 2, "text": "came after"})
    assert [entry[1] for entry in entries(goal)[before:]] == ["goal.directed"] * 2
    assert ledger_verify(goal.pk) == []
    assert Attempt.objects.get(goal=goal).state == "queued"
