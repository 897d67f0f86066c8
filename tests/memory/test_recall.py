"""Finding: planted facts, isolation, filters, budget, explanations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction

from agentsys.gateway.embedding import Query
from agentsys.kernel.errors import BadInput
from memory import services as memory
from memory.candidates import Scope, candidates, worded
from memory.models import Chunk, Memory
from tests.memory.candidates import one_by_one

pytestmark = pytest.mark.django_db
HERE = "project-1"

PLANTED = {
    "The staging database listens on port 5433.": "which port does the staging database use?",
    "Releases are cut every second Tuesday by the platform team.": "when do we ship releases?",
    "Alice Moreau reviews every change to the billing service.": "who reviews billing changes?",
    "Integration tests need PostgreSQL 16 or newer.": "what does the integration test suite need?",
    "The customer asked for invoices as PDF with a QR code.": "what format of invoices is wanted?",
    "Deploys to production are frozen from December 20 to January 3.": "is there a deploy freeze?",
    "The flaky test was test_timeout_retry; it raced with the clock.": "which test was flaky?",
    "We decided against Kafka because the team is too small to run it.": "why not use Kafka?",
    "API keys rotate every 90 days; the vault does it.": "how often are API keys rotated?",
    "Use ruff, not black, for formatting in this repository.": "which formatter should I use?",
    "The nightly backup goes to the bucket atlas-backup-eu.": "where are backups stored?",
    "Error budget for checkout is 0.1 percent a month.": "how large is the checkout error budget?",
}
TOPICS = ("logging", "caching", "search", "mail", "uploads", "pricing", "onboarding", "themes")


@pytest.mark.parametrize(("embedder", "least"), [("wordllama", 11), ("hashing", 9)])
def test_planted_facts_are_found_by_questions(settings: Any, embedder: str, least: int) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder=embedder)
    ids = _plant()
    found = sum(
        ids[text] in [hit.id for hit in memory.recall(HERE, question, k=5)]
        for text, question in PLANTED.items()
    )
    assert found >= least, f"{found} of {len(PLANTED)} in the first five"


def _plant() -> dict[str, int]:
    fillers = [
        f"Task {n} looked at the {TOPICS[n % 8]} module and changed {n % 13} files; the "
        f"{('tests', 'service', 'database', 'team')[n % 4]} {('were fine', 'needed work')[n % 2]}"
        for n in range(400)
    ]
    memory.remember_many([memory.MemoryDraft(HERE, "episodic", text) for text in fillers])
    ids = memory.remember_many([memory.MemoryDraft(HERE, "semantic", t) for t in PLANTED])
    return dict(zip(PLANTED, ids, strict=True))


def test_no_row_of_another_namespace_is_ever_found() -> None:
    memory.remember_many(
        [
            memory.MemoryDraft("project-2", "semantic", f"CANARY {text}", pinned=n % 2 == 0)
            for n, text in enumerate(PLANTED)
        ]
    )
    memory.remember(HERE, "semantic", "The staging database listens on port 5433.")
    for question in [*PLANTED.values(), "CANARY", "CANARY The staging database listens"]:
        assert all(h.namespace == HERE for h in memory.recall(HERE, question, k=50))
    assert memory.recall([], "CANARY") == []
    assert {h.namespace for h in memory.recall([HERE, "project-2"], "staging port", k=50)} == {
        HERE,
        "project-2",
    }


def test_each_signal_is_explained_and_they_add_up() -> None:
    _plant()
    hits = memory.recall(HERE, "which port does the staging database use?", explain=True)
    assert set(hits[0].signals) == {"lexical", "dense", "late", "importance"}
    for hit in hits:
        assert sum(hit.signals.values()) == pytest.approx(hit.score)
    assert memory.recall(HERE, "staging port")[0].signals == {}


def test_an_update_is_found_with_what_it_replaced() -> None:
    ids = _plant()
    old = "The staging database listens on port 5433."
    memory.supersede(ids[old], "The staging database moved to port 6000.")
    memory.supersede(
        memory.recall(HERE, "staging database port")[0].id, "Staging's database is on port 7000."
    )
    hits = memory.recall(HERE, PLANTED[old])
    assert hits[0].text == "Staging's database is on port 7000."
    assert hits[0].superseded == ("The staging database moved to port 6000.", old)
    assert not {old, "The staging database moved to port 6000."} & {h.text for h in hits}


def test_as_of_tells_what_held_then() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    pk = memory.remember(HERE, "semantic", "The lead is Ana", occurred_at=first)
    memory.supersede(pk, "The lead is Bo", occurred_at=first + timedelta(days=30))

    def lead(day: int) -> list[str]:
        hits = memory.recall(HERE, "who is the lead", as_of=first + timedelta(days=day))
        return [h.text for h in hits]

    assert (lead(-1), lead(1), lead(29), lead(30), lead(99)) == (
        [], ["The lead is Ana"], ["The lead is Ana"], ["The lead is Bo"], ["The lead is Bo"],
    )  # fmt: skip


def test_layers_actor_and_time_narrow_the_search() -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC)
    for n, (layer, actor) in enumerate(
        [("semantic", "ana"), ("episodic", "bo"), ("semantic", "bo")]
    ):
        memory.remember(HERE, layer, f"Release {n} went out", actor=actor,
                        occurred_at=day + timedelta(days=n))  # fmt: skip

    def texts(**filters: Any) -> set[str]:
        return {h.text.split()[1] for h in memory.recall(HERE, "release", **filters)}

    assert texts() == {"0", "1", "2"}
    assert texts(layers=["semantic"]) == {"0", "2"}
    assert texts(actor="bo") == {"1", "2"}
    assert texts(since=day + timedelta(days=1)) == {"1", "2"}
    assert texts(until=day + timedelta(days=1)) == {"0"}
    with pytest.raises(BadInput, match="semantics"):
        memory.recall(HERE, "release", layers=["semantics"])


def test_names_that_nobody_has_find_nothing_and_one_given_twice_is_one() -> None:
    memory.remember(HERE, "semantic", "The port is 5433.", actor="ann")
    for actor in ("\x00", "\udcff"):
        assert memory.recall(HERE, "which port?", actor=actor) == []
    assert len(memory.recall([HERE] * 3000, "which port?", run="a\x00\udcff")) == 1


def test_what_is_given_to_a_brief_fits_its_budget() -> None:
    for n in range(20):
        memory.remember(HERE, "semantic", f"Release note {n}: " + f"detail{n} " * 60)
    hits = memory.recall(HERE, "release note", k=20, budget_tokens=400)
    assert 1 <= len(hits) < 20
    assert sum(len(h.text) / 4 for h in hits) <= 400
    assert len(memory.recall(HERE, "release note", budget_tokens=20)[0].text) <= 80


def test_a_pinned_memory_is_considered_by_every_recall() -> None:
    _plant()
    pk = memory.remember(HERE, "semantic", "Never push to main", kind="instruction", pinned=True)
    assert pk in [h.id for h in memory.recall(HERE, "zebra crossing paint", k=3)]
    memory.unpin(pk)
    assert pk not in [h.id for h in memory.recall(HERE, "zebra crossing paint", k=3)]


def test_what_has_nothing_to_do_with_the_question_is_not_shown() -> None:
    memory.remember(HERE, "semantic", "A cat sat on the mat")
    assert memory.recall(HERE, "kubernetes ingress certificate") == []


def test_being_recalled_is_counted_once_a_recall() -> None:
    pk = memory.remember(HERE, "semantic", "The office closes at six")
    memory.recall(HERE, "when does the office close")
    memory.recall(HERE, "office")
    row = Memory.objects.get(pk=pk)
    assert (row.access_count, row.last_access_at is not None) == (2, True)


@pytest.mark.parametrize(
    "query",
    ["", "   ", "!!!", "'; DROP TABLE x; --", "a & !b | (c:* <-> 'd", "\x00nul", "\ud800", "the of",
     "back\\slash 'quote' http://x.y/?a=1&b=2", "字 漢字", "word " * 5000, "%s %(x)s", "☃"],
)  # fmt: skip
def test_no_query_breaks_the_search(query: str) -> None:
    memory.remember(HERE, "semantic", "it's a back\\slash at http://x.y/?a=1&b=2")
    memory.remember(HERE, "semantic", "☃ ☃ ☃ snowman words")
    for hit in memory.recall(HERE, query, explain=True):
        assert hit.score == hit.score  # not NaN


def test_in_a_large_scope_common_words_still_find_when_there_are_no_others() -> None:
    memory.remember_many(
        [memory.MemoryDraft(HERE, "semantic", f"The build took {n} seconds") for n in range(1200)]
    )
    rare = memory.remember(HERE, "semantic", "The build broke on a walrus operator")
    assert memory.recall(HERE, "did a walrus break the build")[0].id == rare
    hits = memory.recall(HERE, "the build", explain=True)
    assert len(hits) == 8
    assert "lexical" in hits[0].signals


@pytest.mark.django_db(transaction=True)
def test_a_recall_does_not_wait_for_a_transaction_that_holds_its_rows() -> None:
    pk = memory.remember(HERE, "semantic", "The office closes at six")

    def ask() -> list[int]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            return [hit.id for hit in memory.recall(HERE, "when does the office close")]
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        Memory.objects.select_for_update().get(pk=pk)
        assert pool.submit(ask).result() == [pk]
    assert Memory.objects.get(pk=pk).access_count == 0


def test_words_of_other_models_are_never_compared() -> None:
    pk = memory.remember(HERE, "semantic", "The parser is recursive")
    Chunk.objects.filter(memory_id=pk).update(embed_model="another-model")
    hits = memory.recall(HERE, "parser", explain=True)
    assert [set(h.signals) for h in hits] == [{"lexical"}]


def test_an_exact_scan_of_the_scope_serves_the_vectors() -> None:
    """No approximate index: behind a filter it would find almost nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'agentsys_memory_%'")
        assert not [row[0] for row in cursor.fetchall() if "hnsw" in row[0] or "ivf" in row[0]]


def test_what_stands_beside_a_hit_is_the_nearest_that_is_left_on_each_side() -> None:
    texts = ("We met at noon", "Ann was late", "The zebra clause holds", "Bo left", "All agreed")
    drafts = [memory.MemoryDraft(HERE, "episodic", text, session="talk") for text in texts]
    ids = memory.remember_many(drafts)
    Memory.objects.filter(pk=ids[1]).update(state="cold")
    here = Scope([HERE])
    by_words, _, nowhere = worded(here, "zebra", lambda: Query(np.zeros(1, np.float32)))
    rows = one_by_one(candidates(here, by_words, nowhere))
    assert [row.id for row in rows] == sorted(row.id for row in rows)  # sums depend on the order
    assert {row.id: row.found for row in rows} == {
        ids[0]: False,
        ids[1]: False,
        ids[2]: True,
        ids[3]: False,
    }
    assert {row.id for row in rows if row.faded} == {ids[1]}


def test_what_many_sources_say_takes_one_place_and_leaves_the_others_to_more() -> None:
    """However many say the same: what else there is fills the places, from further down."""
    names = [f"copy-{n}" for n in range(20)]
    said = {
        name: memory.remember(name, "semantic", "The zebra gate opens at dawn") for name in names
    }
    other = memory.remember(names[0], "semantic", "Some zebra was seen near the harbour wall today")
    hits = memory.recall(names, "When does the zebra gate open at dawn?", k=6)
    first, *rest = [hit.id for hit in hits]
    assert first in said.values()
    assert rest == [other]
