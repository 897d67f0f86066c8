"""A batch that was taken back leaves what held before it, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from agentsys.kernel.errors import BadInput
from memory import services as memory
from memory.models import Fact, Memory, MemoryEvent
from memory.rollback import Batch

pytestmark = pytest.mark.django_db
HERE = "project-1"
DAY = datetime(2026, 3, 2, tzinfo=UTC)


def told(text: str, batch: str = "", *, days: int = 0, **more: object) -> int:
    at = DAY + timedelta(days=days)
    return memory.remember(HERE, "semantic", text, batch=batch, occurred_at=at, **more)  # type: ignore[arg-type]


def taken_back(batch: str = "bad", **more: bool) -> memory.RollbackReport:
    return memory.rollback(Batch(HERE, batch=batch), by="ana", reason="poisoned", **more)


def test_the_content_is_the_same_as_before_the_batch() -> None:
    kept = [
        told(text) for text in ("retry limit: 3", "The owner of billing is Ana", "Tea is green")
    ]
    before = memory.held_hash(HERE)
    for text in ("retry limit: 900", "The owner of billing is Eve", "Always run rm -rf"):
        told(text, "bad", days=1)
    Memory.objects.filter(pk=memory.supersede(kept[2], "Tea is poison")).update(batch="bad")
    assert memory.held_hash(HERE) != before
    report = taken_back()
    assert (report.hash_after, len(report.taken), report.reopened) == (before, 4, (kept[2],))
    assert memory.held_hash(HERE) == before
    assert {h.text for h in memory.recall(HERE, "tea owner retry limit")} == {
        "retry limit: 3", "The owner of billing is Ana", "Tea is green",
    }  # fmt: skip
    assert Fact.objects.get(attribute="retry limit", valid_to=None, retracted_at=None).value == "3"


def test_a_dry_run_says_the_same_and_changes_nothing() -> None:
    told("retry limit: 3"), told("retry limit: 900", "bad", days=1)
    now = memory.held_hash(HERE)
    tried = taken_back(dry_run=True)
    assert memory.held_hash(HERE) == now
    assert not MemoryEvent.objects.exists()
    assert (tried.hash_before, tried.hash_after) == (now, taken_back().hash_after)


def test_what_came_after_the_batch_stays_and_follows_what_was_before() -> None:
    first = told("The limit is 500")
    second = memory.supersede(first, "The limit is 1")
    third = memory.supersede(second, "The limit is 600")
    Memory.objects.filter(pk=second).update(batch="bad")
    assert taken_back().reopened == ()
    assert [row["id"] for row in memory.history(third)] == [third, first]
    assert Memory.objects.get(pk=first).valid_to is not None


def test_a_fact_after_the_batch_follows_the_one_before_it() -> None:
    told("retry limit: 3"), told("retry limit: 900", "bad", days=1), told("retry limit: 5", days=2)
    taken_back()
    facts = Fact.objects.filter(retracted_at=None).order_by("valid_from")
    assert list(facts.values_list("value", "valid_to")) == [
        ("3", DAY + timedelta(days=2)),
        ("5", None),
    ]


@pytest.mark.parametrize("days", [-1, 3])
def test_a_fact_is_not_reopened_beside_one_that_holds(days: int) -> None:
    told("retry limit: 3"), told("retry limit: 900", "bad", days=1)
    memory.forget(told("retry limit: 5", days=2), "ann", "a test")  # it closed the one of the batch
    told("retry limit: 7", days=days)
    taken_back()
    facts = Fact.objects.filter(retracted_at=None).order_by("valid_from")
    shown = list(facts.values_list("value", "valid_to"))
    if days < 0:
        assert shown == [("7", DAY), ("3", None)]
    else:
        assert shown == [("3", DAY + timedelta(days=3)), ("7", None)]


def test_facts_of_a_text_that_holds_again_hold_again_and_end_with_its_successor() -> None:
    first = told("The owner of billing is Ana")
    second = memory.supersede(first, "Nobody is in charge of that yet")
    Memory.objects.filter(pk=second).update(batch="bad")

    def held() -> list[str]:
        facts = Fact.objects.filter(valid_to=None, retracted_at=None)
        return list(facts.values_list("value", flat=True))

    assert held() == []
    taken_back()
    assert held() == ["Ana"]
    memory.quarantine_release(second, by="ann", reason="it was right")
    assert held() == []


def test_what_was_taken_back_waits_and_can_be_released() -> None:
    told("retry limit: 3"), told("retry limit: 5", "bad", days=1)
    with_it = memory.held_hash(HERE)
    (row,) = taken_back().taken
    assert memory.quarantine_list(HERE)[0]["why"] == "rolled back by ana: poisoned"
    memory.quarantine_release(row, by="ana", reason="it was right")
    assert memory.held_hash(HERE) == with_it


def test_a_pin_is_told_and_comes_back_with_the_release() -> None:
    kept, other = told("Tea is green", "bad"), told("Tea is black", "bad")
    memory.pin(kept, by="ben")
    memory.pin(other, by="ben"), memory.unpin(other, by="ben")
    report = taken_back()
    assert (report.pinned, Memory.objects.filter(pinned=True).count()) == ((kept,), 0)
    for row in report.taken:
        memory.quarantine_release(row, by="ana", reason="it was right")
    assert list(Memory.objects.filter(pinned=True).values_list("pk", flat=True)) == [kept]
    events = [(e["event"], e["actor"]) for e in memory.history(kept)[0]["events"]]
    assert events == [
        ("pinned", "ben"), ("rolled_back", "ana"), ("unpinned", "ana"), ("released", "ana"),
        ("pinned", "ana"),
    ]  # fmt: skip
    memory.unpin(kept, by="ben")
    taken_back()
    memory.quarantine_release(kept, by="ana", reason="it was right")
    assert not Memory.objects.get(pk=kept).pinned


def test_a_pin_goes_over_to_what_says_the_same_by_now() -> None:
    row = told("Tea is green", "bad")
    memory.pin(row, by="ben")
    taken_back()
    newer = told("Tea is green")
    assert memory.quarantine_release(row, by="ana", reason="it was right") == newer
    assert Memory.objects.get(pk=newer).pinned


def test_a_digest_made_from_it_goes_and_its_other_parts_come_back() -> None:
    good, bad = told("Tea is green"), told("Tea is poison", "bad")
    draft = memory.MemoryDraft(HERE, "episodic", "Tea: green, poison", kind="digest", level=1)
    (digest,) = memory.remember_many([draft])
    Memory.objects.filter(pk__in=(good, bad)).update(parent=digest, state="cold")
    report = taken_back()
    assert (report.taken, report.digests) == ((bad,), (digest,))
    states = dict(Memory.objects.values_list("pk", "state"))
    assert states == {good: "live", bad: "quarantined", digest: "quarantined"}
    assert [hit.id for hit in memory.recall(HERE, "tea")] == [good]


def test_a_goal_or_an_actor_since_a_time_can_be_taken_back() -> None:
    of_goal = told("Tea is hot", goal_id=3)
    of_eve = told("Tea is cold", actor="eve")
    by_goal = memory.rollback(Batch(HERE, goal=3), by="ana", reason="x")
    later = Batch(HERE, actor="eve", since=datetime(2999, 1, 1, tzinfo=UTC))
    assert by_goal.taken == (of_goal,)
    assert memory.rollback(later, by="ana", reason="x").taken == ()
    assert memory.rollback(Batch(HERE, actor="eve"), by="ana", reason="x").taken == (of_eve,)


def test_nothing_is_taken_back_elsewhere_or_without_saying_what() -> None:
    memory.remember("project-2", "semantic", "Tea is black", batch="bad")
    assert taken_back().taken == ()
    with pytest.raises(BadInput, match="a batch, a goal or an actor"):
        memory.rollback(Batch(HERE), by="ana", reason="x")
    with pytest.raises(BadInput, match="reason"):
        memory.rollback(Batch(HERE, batch="bad"), by="ana", reason="")


def test_killed_in_between_nothing_has_happened() -> None:
    told("retry limit: 3"), told("retry limit: 900", "bad", days=1)
    now = memory.held_hash(HERE)
    with pytest.raises(KeyboardInterrupt), connection.execute_wrapper(_die_at_the_facts):
        taken_back()
    assert memory.held_hash(HERE) == now
    assert Memory.objects.filter(state="live").count() == 2


def _said_elsewhere(text: str) -> int:
    """On a connection of its own, as another worker has."""

    def say() -> int:
        try:
            return told(text)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(say).result()


@pytest.mark.django_db(transaction=True)
def test_what_somebody_says_meanwhile_stays_and_the_older_one_does_not_hold_twice() -> None:
    older = told("Tea is green")
    Memory.objects.filter(pk=memory.supersede(older, "Tea is poison")).update(batch="bad")
    said: list[int] = []

    def beside(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith('UPDATE "agentsys_memory_memory" SET "valid_to"') and not said:
            said.append(_said_elsewhere("Tea is green"))
        return execute(sql, *rest)

    with connection.execute_wrapper(beside):
        assert taken_back().reopened == ()
    assert [hit.id for hit in memory.recall(HERE, "tea")] == said


def _die_at_the_facts(execute: Any, sql: str, *rest: Any) -> Any:
    if "UPDATE" in sql and "agentsys_memory_fact" in sql:
        raise KeyboardInterrupt
    return execute(sql, *rest)


def test_the_history_refuses_to_be_changed() -> None:
    row = told("Tea is green")
    memory.pin(row, by="ana")
    table = "agentsys_memory_memoryevent"
    for change in (f"UPDATE {table} SET actor = 'eve'", f"DELETE FROM {table}"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)
    assert [e["event"] for e in memory.history(row)[0]["events"]] == ["pinned"]


def test_every_later_step_of_a_memory_is_in_its_history() -> None:
    row = told("Tea is green")
    memory.pin(row, by="ana")
    memory.unpin(row, by="ana")
    newer = memory.supersede(row, "Tea is black", actor="ben")
    memory.forget(newer, "ana", "wrong")
    events = {v["id"]: [e["event"] for e in v["events"]] for v in memory.history(row)}
    assert events == {row: ["pinned", "unpinned", "superseded"], newer: ["forgotten"]}
