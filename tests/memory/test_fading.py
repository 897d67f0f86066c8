"""What is cold keeps its words for the sake of its neighbours, and for nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from django.db import connection

from agentsys.gateway.embedding import Query
from memory import services as memory
from memory.candidates import Scope, candidates, worded
from memory.domain.ranking import rank
from memory.models import Memory
from memory.versions import bury
from tests.memory.candidates import Candidate, one_by_one, together

pytestmark = pytest.mark.django_db
HERE = "project-1"
AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
TALK = (
    "When did the zebra leave the ark?",
    "On Friday at noon",
    "Nobody saw it",
    "The rain went on",
)


@pytest.fixture
def talk() -> list[int]:
    drafts = [
        memory.MemoryDraft(HERE, "episodic", text, session="talk", actor=who, occurred_at=AT)
        for text, who in zip(TALK, ("ann", "bo", "ann", "bo"), strict=True)
    ]
    return memory.remember_many(drafts)


def cool(row_id: int) -> None:
    Memory.objects.filter(pk=row_id).update(state="cold")


def words_of(row_id: int) -> Any:
    return Memory.objects.values_list("terms", flat=True).get(pk=row_id)


def found(question: str, namespace: str = HERE, **more: Any) -> dict[int, Candidate]:
    here = Scope([namespace], **more)
    by_words, _, nowhere = worded(here, question, lambda: Query(np.zeros(1, np.float32)))
    return {one.id: one for one in one_by_one(candidates(here, by_words, nowhere))}


def test_words_are_kept_while_a_memory_is_cold_and_no_longer(talk: list[int]) -> None:
    assert words_of(talk[0]) is None
    cool(talk[0])
    assert len(words_of(talk[0])) == 7  # ann, 05, januari, 2026, zebra, leav, ark
    Memory.objects.filter(pk=talk[0]).update(state="live")
    assert words_of(talk[0]) is None
    cool(talk[0])
    bury([talk[0]], by="ann", reason="asked to")
    assert words_of(talk[0]) is None


def test_a_cold_memory_of_no_session_has_no_neighbours_to_speak_for() -> None:
    one = memory.remember(HERE, "semantic", "The zebra left on Friday")
    cool(one)
    assert words_of(one) is None


def test_words_follow_whom_they_are_said_to_be_of(talk: list[int]) -> None:
    cool(talk[0])
    before = words_of(talk[0])
    Memory.objects.filter(pk=talk[0]).update(actor="someone")
    assert len(set(before) - set(words_of(talk[0]))) == 1


def test_what_is_written_cold_has_its_words(talk: list[int]) -> None:
    cool(talk[0])
    row = Memory.objects.get(pk=talk[0])
    words = row.terms
    row.pk, row.terms, row.text_hash, row._state.adding = None, None, "another", True
    row.save()
    assert words_of(row.pk) == words


def test_a_cold_question_speaks_for_its_answer(talk: list[int]) -> None:
    question = "when did the zebra leave, at noon or in the rain?"
    cool(talk[0])
    rows = found(question)
    asked, answer = rows[talk[0]], rows[talk[1]]
    assert (asked.faded, asked.found, asked.cosine) == (True, False, None)
    assert asked.bm25 is not None
    assert (answer.faded, answer.found) == (False, True)
    best = rank(together(rows.values()), question)
    assert asked.id not in [one.id for one in best]
    alone = rank(together(row for row in rows.values() if not row.faded), question)
    score = {one.id: one.signals.get("neighbours", 0.0) for one in best}
    assert (
        score[answer.id] > {one.id: one.signals.get("neighbours", 0.0) for one in alone}[answer.id]
    )


def test_what_is_cold_is_no_result_however_well_it_would_do(talk: list[int]) -> None:
    cool(talk[0])
    hits = memory.recall(HERE, "when did the zebra leave the ark, on Friday?")
    assert talk[0] not in [hit.id for hit in hits]
    assert talk[1] in [hit.id for hit in hits]


def test_only_what_passes_the_filter_and_stands_next_to_it_speaks(talk: list[int]) -> None:
    cool(talk[0])
    assert talk[0] not in found("at noon", actor="bo")
    assert talk[0] in found("at noon")
    assert talk[0] not in found("nobody saw it")  # two places on
    cool(talk[1])
    Memory.objects.filter(pk=talk[1]).update(valid_to=AT)
    assert talk[1] not in found("nobody saw it")


def test_no_project_hears_what_another_has_cold(talk: list[int]) -> None:
    drafts = [
        memory.MemoryDraft("project-2", "episodic", text, session="talk") for text in TALK[1:]
    ]
    theirs = memory.remember_many(drafts)
    for row_id in talk:
        cool(row_id)
    assert set(found("zebra at noon", "project-2")) <= set(theirs)


def test_words_are_not_found_by_the_words_of_another_namespace(talk: list[int]) -> None:
    cool(talk[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT terms FROM agentsys_memory_terms('project-2', %s)", [TALK[0]])
        (other,) = cursor.fetchone()
    assert not set(other) & set(words_of(talk[0]))
