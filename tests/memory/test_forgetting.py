"""Forgetting a subject leaves nothing of it in memory, and says so with figures."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from agentsys.kernel.errors import BadInput
from memory import services as memory
from memory.models import Chunk, Memory

pytestmark = pytest.mark.django_db
HERE = "project-1"
AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def rows() -> list[int]:
    said = [
        ("ann", "Greta Weiss moved the pump order 12 to Basel", {}),
        ("Greta Weiss", "I will call the plant on Friday about order 13", {}),
        ("ann", "The valve order 14 stays in Zurich with Keller", {}),
        ("bo", "Grass and weissbier have nothing to do with it in July", {}),
        ("bo", "The plant answered about order 15", {"source": "mail of Greta Weiss"}),
    ]
    return memory.remember_many(
        [
            memory.MemoryDraft(
                HERE, "episodic", text, actor=actor, session="call", provenance=facts,
                occurred_at=AT + timedelta(minutes=n), recorded_at=AT,
            )
            for n, (actor, text, facts) in enumerate(said)
        ]
    )  # fmt: skip


def everything() -> str:
    """All that the tables of memory hold, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT jsonb_agg(to_jsonb(m)) FROM agentsys_memory_memory AS m")
        return str(cursor.fetchone()[0])


def forget(name: str = "greta  weiss", **more: bool) -> memory.Forgotten:
    return memory.forget_subject(HERE, name, by="ann", reason="Greta Weiss asked", **more)


def test_text_actor_source_chunks_and_hash_of_a_subject_go(rows: list[int]) -> None:
    memory.pin(rows[0])
    proof = forget()
    assert set(proof.memories) == {rows[0], rows[1], rows[4]}
    assert (proof.left, proof.found, proof.chunks) == (0, (), 3)
    assert "reta" not in everything()
    stones = Memory.objects.filter(pk__in=proof.memories)
    assert {(s.state, s.text, s.text_hash[:9]) for s in stones} == {("gone", "", "forgotten")}
    assert not Chunk.objects.filter(memory_id__in=proof.memories).exists()
    assert memory.recall(HERE, "valve order Zurich")[0].id == rows[2]


def test_digests_lose_the_lines_that_quote_it_and_keep_the_others(rows: list[int]) -> None:
    memory.consolidate(HERE, until=AT + timedelta(days=40))
    proof = forget()
    digests = Memory.objects.filter(level__gt=0)
    assert set(proof.digests) == set(digests.values_list("pk", flat=True))
    assert not any("reta" in d.text or "order 13" in d.text for d in digests)
    assert any(f"[memory-{rows[2]}]" in d.text for d in digests)
    assert "reta" not in everything()
    assert memory.consolidate(HERE, until=AT + timedelta(days=40)).written == ()


def test_a_session_that_is_named_after_it_is_renamed_in_digests() -> None:
    memory.remember(
        HERE, "episodic", "Nothing much was said about pumps", session="with Greta Weiss"
    )
    Memory.objects.update(occurred_at=AT)
    memory.consolidate(HERE, until=AT + timedelta(days=1))
    assert forget().left == 0
    assert "reta" not in everything()


def test_a_text_that_a_model_wrote_is_put_back_to_its_quotes(rows: list[int]) -> None:
    memory.consolidate(HERE, until=AT + timedelta(days=1))
    (one,) = Memory.objects.filter(level=1)
    one.provenance |= {"extract": one.text, "method": "some:model"}
    one.text = "Session: orders were moved by a woman from Bern [memory-1]"
    one.save()
    forget()
    one.refresh_from_db()
    assert "Bern" not in one.text
    assert one.provenance["method"] == "extractive"


def test_a_dry_run_says_what_would_go_and_changes_nothing(rows: list[int]) -> None:
    before = everything()
    proof = forget(dry_run=True)
    assert (len(proof.memories), proof.dry_run) == (3, True)
    assert everything() == before


def test_the_proof_states_the_window_of_backups_and_what_memory_cannot_change(
    rows: list[int],
) -> None:
    book = memory.playbook_save("care", {"steps": ["ask Greta Weiss"]})
    proof = forget()
    assert proof.backups_until - proof.at == timedelta(days=30)
    assert proof.playbooks == (book.id,)
    assert "ledger" in proof.elsewhere


def test_other_namespaces_and_parts_of_words_are_left_alone(rows: list[int]) -> None:
    there = memory.remember("project-2", "semantic", "Greta Weiss likes tea")
    assert forget("Gret").memories == ()
    forget()
    assert Memory.objects.get(pk=there).text == "Greta Weiss likes tea"
    assert Memory.objects.get(pk=rows[3]).state == "live"


@pytest.mark.parametrize("name", ["", " ", "x", "..", "(("])
def test_a_name_that_is_none_is_refused(rows: list[int], name: str) -> None:
    with pytest.raises(BadInput):
        forget(name)
    assert not Memory.objects.filter(state="gone").exists()


def test_signs_in_a_name_are_taken_as_they_are(rows: list[int]) -> None:
    odd = memory.remember(HERE, "semantic", "C++ (old) and a.b were used by nobody")
    assert forget("a.c").memories == ()
    assert forget("C++ (old)").memories == (odd,)
    assert json.loads(everything())
