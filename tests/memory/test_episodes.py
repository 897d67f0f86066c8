"""Episodes from the ledger, and the blackboard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from memory import services as memory
from memory.models import Memory

pytestmark = pytest.mark.django_db
HERE = "project-1"
BEGAN = datetime(2026, 3, 1, 9, tzinfo=UTC)


def entry(seq: int, event: str, actor: str = "orchestrator", **rest: Any) -> dict[str, Any]:
    payload = rest.pop("payload", {})
    return {
        "goal_id": 7, "seq": seq, "event": event, "actor": actor, "payload": payload,
        "at": BEGAN + timedelta(minutes=seq), "namespace": HERE, "objective": "Tidy the shop",
        "task_id": None, **rest,
    }  # fmt: skip


LEDGER = [
    entry(1, "goal.submitted", "ana", payload={"objective": "Tidy the shop"}),
    entry(2, "goal.planned"),
    entry(3, "tasks.claimed", payload={"claims": [[1, 1, 1]]}),
    entry(4, "attempt.rejected", "verifiers", payload={"reason": "tests fail"}),
    entry(5, "attempt.rejected", "verifiers", payload={"reason": "tests fail"}),
    entry(6, "goal.directed", "ana", payload={"text": "leave {shop}.css alone", "directive": 1}),
    entry(7, "approval.decided", "bo",
          payload={"approval": 3, "decision": "reject", "reason": "too risky"}),
    entry(8, "conflict.merge", payload={"loser": 5, "rule": "what was merged first stays"}),
    entry(9, "task.exhausted", task_id=31, payload={"reason": "gave up"}),
    entry(10, "task.accepted", "verifiers", task_id=32, payload={"verdicts": {"schema": "pass"}}),
    entry(11, "proposal.applied", payload={"proposal": 6}),
    entry(12, "goal.failed", payload={"reason": "task-31 failed"}),
]  # fmt: skip


def test_what_matters_becomes_one_readable_sentence_each() -> None:
    assert memory.episodes_from_ledger(LEDGER) == 10
    rows = Memory.objects.order_by("occurred_at")
    assert [row.text for row in rows] == [
        "ana submitted goal-7: Tidy the shop",
        "An attempt of goal-7 was rejected by verifiers (tests fail)",
        "An attempt of goal-7 was rejected by verifiers (tests fail)",
        "ana told goal-7: leave {shop}.css alone",
        "bo decided reject on approval-3 of goal-7 (too risky)",
        "proposal-5 of goal-7 lost a merge conflict; rule: what was merged first stays",
        "task-31 of goal-7 failed for good (gave up)",
        "task-32 of goal-7 was accepted (schema pass)",
        "proposal-6 of goal-7 was applied",
        "goal-7 failed (task-31 failed): Tidy the shop",
    ]
    last = rows.last()
    assert last is not None
    assert (last.occurred_at, last.provenance) == (
        BEGAN + timedelta(minutes=12), {"goal_id": 7, "ledger_seq": 12},
    )  # fmt: skip
    assert memory.recall(HERE, "was anything too risky")[0].source == "goal-7 #7"


def test_replaying_the_ledger_changes_nothing() -> None:
    memory.episodes_from_ledger(LEDGER[:5])
    assert memory.episodes_from_ledger(LEDGER) == 7
    before = list(Memory.objects.order_by("pk").values())
    assert memory.episodes_from_ledger(LEDGER) == 0
    assert list(Memory.objects.order_by("pk").values()) == before


@pytest.mark.django_db(transaction=True)
def test_two_replays_at_once_make_one_row_an_entry() -> None:
    def replay(_turn: int) -> int:
        try:
            return memory.episodes_from_ledger(LEDGER)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(replay, range(4))) == [0, 0, 0, 10]
    assert Memory.objects.count() == 10


def test_a_forgotten_episode_stays_forgotten() -> None:
    memory.episodes_from_ledger(LEDGER)
    row = Memory.objects.get(provenance__ledger_seq=6)
    memory.forget(row.pk, "ana", "private")
    assert memory.episodes_from_ledger(LEDGER) == 0
    assert not Memory.objects.filter(text__contains="shop}.css").exists()


def test_the_database_holds_one_row_for_a_ledger_entry() -> None:
    memory.episodes_from_ledger(LEDGER)
    row = Memory.objects.get(provenance__ledger_seq=1)
    row.pk, row.text_hash, row.namespace = None, "other", "project-9"
    with pytest.raises(IntegrityError, match="memory_episode_once"), transaction.atomic():
        row.save(force_insert=True)


def test_the_same_words_twice_are_shown_once() -> None:
    memory.episodes_from_ledger(LEDGER)
    texts = [h.text for h in memory.recall(HERE, "which attempts were rejected")]
    assert len(texts) == len(set(texts))


def test_a_plan_of_thousands_does_not_crowd_out_the_rest() -> None:
    many = [entry(n, "task.accepted", task_id=n) for n in range(1, 3001)]
    first = memory.episodes_from_ledger([*many, entry(3001, "goal.succeeded")])
    again = memory.episodes_from_ledger([*many, entry(3001, "goal.succeeded")])
    assert (first, again) == (51, 0)


def test_reasons_given_by_agents_are_vouched_for_by_nobody() -> None:
    memory.episodes_from_ledger(LEDGER)
    trust = dict(Memory.objects.values_list("provenance__ledger_seq", "trust"))
    assert (trust[1], trust[4], trust[6], trust[9]) == (
        "verified", "unverified", "verified", "unverified",
    )  # fmt: skip


def test_notes_on_the_board_are_kept_by_key() -> None:
    memory.blackboard_put(7, "lint", "ok", actor="agent:tester", trust="unverified")
    memory.blackboard_put(7, "tests", "ok", actor="agent:tester", trust="unverified")
    memory.blackboard_put(7, "lint", "3 findings", actor="agent:coder", trust="unverified")
    memory.blackboard_put(8, "lint", "other goal", actor="agent:coder", trust="unverified")
    notes = {note["key"]: (note["text"], note["actor"]) for note in memory.blackboard_get(7)}
    assert notes == {"lint": ("3 findings", "agent:coder"), "tests": ("ok", "agent:tester")}


def test_a_note_may_go_back_to_what_it_said() -> None:
    for text in ("red", "green", "red", "red"):
        memory.blackboard_put(7, "light", text, actor="a", trust="unverified")
    assert [note["text"] for note in memory.blackboard_get(7)] == ["red"]
    assert Memory.objects.count() == 3


def test_an_untrusted_note_cannot_replace_a_trusted_one() -> None:
    memory.blackboard_put(7, "base", "main", actor="orchestrator", trust="verified")
    with pytest.raises(memory.TooLittleTrust):
        memory.blackboard_put(7, "base", "evil", actor="agent:web", trust="untrusted")
    assert [note["text"] for note in memory.blackboard_get(7)] == ["main"]


def test_clearing_the_board_of_one_goal_leaves_the_others_and_its_episodes() -> None:
    memory.blackboard_put(7, "a", "text", actor="a", trust="unverified")
    memory.blackboard_put(8, "a", "text", actor="a", trust="unverified")
    memory.episodes_from_ledger([{**LEDGER[0], "namespace": ""}])
    assert memory.working_clear(7) == 1
    assert (memory.blackboard_get(7), len(memory.blackboard_get(8))) == ([], 1)
    assert Memory.objects.filter(layer="episodic").count() == 1
