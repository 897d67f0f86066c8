"""An audit names what is wrong and changes nothing; a run cannot write back what it was shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memory import services as memory
from memory.domain.sameness import echoes, near_duplicates
from memory.models import Chunk, Memory
from memory.seen import Seen, drop_old

pytestmark = pytest.mark.django_db
HERE = "project-1"
LONG = (
    "The nightly export of the ledger service writes its files to the archive bucket and then tells the"
    " mailer to send a short note to the operations team of the plant before work begins"
)


def found(what: str) -> list[int]:
    return next(list(f.ids) for f in memory.audit(HERE).findings if f.what == what)


def test_copies_of_other_trust_and_texts_that_differ_in_a_word_are_duplicates() -> None:
    first = memory.remember(HERE, "semantic", LONG)
    copy = memory.remember(HERE, "semantic", LONG, trust="verified")
    near = memory.remember(HERE, "semantic", LONG.replace("short", "brief"))
    other = memory.remember(HERE, "semantic", LONG.replace("ledger", "billing 2"))
    assert found("exact duplicates") == [copy]
    assert found("near duplicates") == [near]
    audit = memory.audit(HERE)
    assert (audit.live, audit.junk) == (4, 0.5)
    assert {first, other}.isdisjoint(found("near duplicates"))


def test_what_a_text_that_stood_already_replaced_is_no_orphan() -> None:
    stood = memory.remember(HERE, "semantic", "The port is 1")
    new = memory.supersede(stood, "The port is 2")
    other = memory.remember(HERE, "semantic", "It listens on 3")
    assert memory.supersede(other, "The port is 2") == new
    assert found("orphans: closed, and no newer version") == []
    memory.forget(new, "ann", "asked to")
    assert found("orphans: closed, and no newer version") == [other]


def test_what_a_run_was_shown_is_counted_when_it_says_it_again() -> None:
    told = memory.remember(HERE, "semantic", LONG, trust="verified")
    memory.recall(HERE, "nightly export of the ledger", run="attempt-7")
    before = Memory.objects.get(pk=told).access_count
    echo = memory.remember(HERE, "semantic", f"Note again: {LONG.lower()}.", batch="attempt-7")
    assert echo == told
    assert Memory.objects.get(pk=told).access_count == before + 1
    assert memory.remember(HERE, "semantic", f"{LONG} at 7", batch="attempt-7") != told
    assert memory.remember(HERE, "semantic", LONG, batch="attempt-8") != told
    assert memory.audit(HERE).live == 3


def test_a_loop_that_was_written_all_the_same_is_found() -> None:
    told = memory.remember(HERE, "semantic", LONG, trust="verified")
    memory.recall(HERE, "nightly export of the ledger", run="attempt-7")
    loop = memory.remember(HERE, "semantic", LONG, batch="attempt-9")
    Memory.objects.filter(pk=loop).update(batch="attempt-7")
    assert found("recall loops") == [loop]
    assert told not in found("recall loops")


def test_stale_orphaned_and_unindexed_rows_are_named() -> None:
    old, row, cold = (memory.remember(HERE, "episodic", f"Fact {n} of Keller") for n in (1, 2, 3))
    memory.supersede(old, "Fact 4 of Keller")
    Memory.objects.filter(pk=row).update(valid_to=datetime.now(UTC))
    Memory.objects.filter(pk=cold).update(state="cold")
    Chunk.objects.filter(memory_id=row).delete()
    assert found("stale: superseded and live") == sorted([old, row])
    assert found("orphans: closed, and no newer version") == [row]
    assert found("orphans: cold, in no digest") == [cold]
    assert found("not indexed") == [row]


def test_what_was_shown_is_kept_for_a_week() -> None:
    memory.remember(HERE, "semantic", LONG)
    memory.recall(HERE, "nightly export", run="attempt-7", now=datetime(2026, 1, 1, tzinfo=UTC))
    assert drop_old(datetime(2026, 1, 7, tzinfo=UTC)) == 0
    assert drop_old(datetime(2026, 1, 9, tzinfo=UTC)) == 1
    assert not Seen.objects.exists()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (LONG, True),
        (LONG.upper().lower(), True),
        (f"Also noted: {LONG}", True),
        (LONG.replace("writes", "never writes"), False),
        (f"{LONG} and then waits for an answer of the team", False),
        (LONG.replace("mailer", "mailer 12"), False),
    ],
)
def test_an_echo_differs_in_nothing_that_weighs(text: str, same: bool) -> None:
    assert echoes(text, LONG) is same
    assert set(near_duplicates([(1, LONG), (2, text)])) == ({2} if same else set())


def test_one_word_in_twenty_makes_a_near_duplicate_for_the_audit_and_no_echo() -> None:
    other = LONG.replace("nightly", "weekly")
    assert near_duplicates([(1, LONG), (2, other)]) == {2: False}
    assert not echoes(other, LONG)


def test_in_a_short_text_every_word_weighs() -> None:
    assert not echoes("The pump is open", "The pump is shut")
    assert echoes("the pump is open.", "The pump is open")
