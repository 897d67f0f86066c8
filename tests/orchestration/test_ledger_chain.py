"""Nobody changes the ledger, and if somebody does it shows: edit, delete, insert, reorder, truncate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from agentsys.kernel.errors import NotFound
from orchestration.models import Goal, LedgerEntry
from orchestration.services.fsck import fsck
from orchestration.services.ledger import goal_locked, ledger_verify
from tests.orchestration.pump import at_once, node, pump, submit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.invents_entries]

LEDGER = "agentsys_orchestration_ledgerentry"
GOAL = "agentsys_orchestration_goal"


@pytest.fixture
def goal(transactional_db: None) -> Goal:
    found = pump(submit(node("a"), node("b", "a")))
    assert ledger_verify(found.pk) == []
    return found


def tamper(*statements: str) -> None:
    """As somebody does who may switch the triggers off."""
    with connection.cursor() as cursor:
        for table in (LEDGER, GOAL):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        for table in (LEDGER, GOAL):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    "change",
    [
        "payload = payload || '{\"x\": 1}'",
        "payload = '{}'",
        "actor = 'mallory'",
        "event = 'other'",
        "at = at + interval '1 microsecond'",
        "task_id = 7",
        "attempt_id = 7",
        "hash = repeat('0', 64)",
    ],
)
def test_an_edit_of_any_field_shows(goal: Goal, change: str) -> None:
    tamper(f"UPDATE {LEDGER} SET {change} WHERE seq = 2")
    assert any("entry 2" in problem or "entry 3" in problem for problem in ledger_verify(goal.pk))
    assert any(finding.invariant == "ledger" for finding in fsck(goal.pk))


def last(goal: Goal) -> int:
    return goal.ledger_seq


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda g: f"DELETE FROM {LEDGER} WHERE seq = 2", "entry 2 is missing"),
        (lambda g: f"DELETE FROM {LEDGER} WHERE seq = 1", "entry 1 is missing"),
        (lambda g: f"DELETE FROM {LEDGER} WHERE seq = {last(g)}", "its goal says"),
        (lambda g: f"DELETE FROM {LEDGER}", "its goal says"),
        (
            lambda g: (
                f"INSERT INTO {LEDGER} (goal_id, seq, event, actor, payload, at, hash)"
                f" SELECT goal_id, {last(g) + 1}, event, actor, payload, at, hash FROM {LEDGER}"
                " WHERE seq = 2"
            ),
            "stand beyond the end",
        ),
        (lambda g: f"UPDATE {LEDGER} SET seq = 900 WHERE seq = 2", "entry 2 is missing"),
        (lambda g: f"UPDATE {GOAL} SET ledger_head = repeat('0', 64)", "not the one"),
    ],
    ids=["delete one", "delete the first", "truncate", "wipe", "insert", "move", "another head"],
)  # fmt: skip
def test_other_tampering_shows(goal: Goal, act: Callable[[Goal], str], said: str) -> None:
    tamper(act(goal))
    assert any(said in problem for problem in ledger_verify(goal.pk))


def test_truncating_and_setting_the_goal_back_shows_in_the_hash_unless_all_is_recomputed(
    goal: Goal,
) -> None:
    cut = last(goal) - 1
    tamper(f"DELETE FROM {LEDGER} WHERE seq > {cut}", f"UPDATE {GOAL} SET ledger_seq = {cut}")
    assert "the last hash is not the one that the goal remembers" in ledger_verify(goal.pk)


def test_swapped_entries_show(goal: Goal) -> None:
    tamper(
        f"UPDATE {LEDGER} SET seq = 1000 WHERE seq = 2",
        f"UPDATE {LEDGER} SET seq = 2 WHERE seq = 3",
        f"UPDATE {LEDGER} SET seq = 3 WHERE seq = 1000",
    )
    assert any("does not match its hash" in problem for problem in ledger_verify(goal.pk))


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {LEDGER} SET actor = 'x'",
        f"DELETE FROM {LEDGER}",
        f"UPDATE {GOAL} SET ledger_seq = 1",
        f"DELETE FROM {GOAL}",
    ],
)
def test_the_database_refuses_changes_to_the_past(goal: Goal, statement: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert ledger_verify(goal.pk) == []


def test_a_transaction_that_fails_leaves_neither_a_gap_nor_an_entry(goal: Goal) -> None:
    before = last(goal)

    def fail() -> None:
        with goal_locked(goal.pk) as book:
            book.record("never", actor="t")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    with goal_locked(goal.pk) as book:
        assert book.record("next", actor="t") == before + 1
    assert ledger_verify(goal.pk) == []
    assert not LedgerEntry.objects.filter(event="never").exists()


def test_many_who_write_at_once_draw_numbers_without_a_gap(goal: Goal) -> None:
    before = last(goal)

    def write() -> None:
        for _ in range(10):
            with goal_locked(goal.pk) as book:
                book.record("noted", actor="t", payload={"text": "ä\n\"'\\ 😀", "n": 1.5})
                book.record("noted", actor="t")

    assert at_once([write] * 6) == [None] * 6
    seqs = list(goal.ledger.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, before + 121))
    assert ledger_verify(goal.pk) == []


def test_every_entry_says_who_what_and_when(goal: Goal) -> None:
    entries = list(goal.ledger.order_by("seq"))
    assert entries[0].actor == "tester"
    assert all(e.actor and e.event and e.at for e in entries)
    assert [e.at for e in entries] == sorted(e.at for e in entries)


def test_a_goal_that_is_not_there_is_said_to_be_none(transactional_db: None) -> None:
    with pytest.raises(NotFound):
        ledger_verify(999_999)
