"""Statements that name the partitions find what the whole table would, whatever a plan was first made for."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import numpy as np
import pytest
from django.db import connection, transaction

from agentsys.gateway.embedding import Query
from memory import services as memory
from memory.candidates import WORDS_MAX, Scope, stems_max, worded
from memory.partitions import TABLE, chunks_of

pytestmark = pytest.mark.django_db
START = datetime(2020, 1, 1, tzinfo=UTC)
NAMES = [f"project-{n}" for n in range(12)]


@pytest.fixture(autouse=True)
def _rows() -> None:
    memory.remember_many(
        [
            memory.MemoryDraft(name, "semantic", text, actor=actor)
            for name in NAMES
            for actor, text in (("ana", "The parser is late"), ("bo", "Who mends the parser?"))
        ]
    )


def _pieces(source: str, names: list[str]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {source} AS c WHERE namespace = ANY(%s)", [names])
        (count,) = cursor.fetchone()
    return int(count)


@pytest.mark.parametrize("count", [1, 2, len(NAMES)])
def test_the_partitions_of_namespaces_have_all_that_is_theirs(count: int) -> None:
    names = NAMES[:count]
    source = chunks_of(names)
    assert (source == TABLE) is (count > 1)
    assert _pieces(source, names) == _pieces(TABLE, names) == 2 * count


def test_a_plan_that_is_kept_serves_every_filter() -> None:
    def found(**asked: object) -> int:
        return len(memory.recall(NAMES[0], "parser", k=20, **asked))  # type: ignore[arg-type]

    memory.remember(NAMES[0], "episodic", "A parser was mended", actor="bo")
    everything = {"": {}, "bo": {"actor": "bo"}, "layer": {"layers": ["episodic"]}}
    for _ in range(7):  # PostgreSQL would think again after five
        assert {name: found(**asked) for name, asked in everything.items()} == {
            "": 3,
            "bo": 2,
            "layer": 1,
        }


@pytest.mark.parametrize("words", [1, 7, WORDS_MAX, WORDS_MAX + 6])
def test_each_word_of_a_question_counts_however_many_there_are(words: int) -> None:
    here = Scope([NAMES[1]])
    others = " ".join(f"zebra{n}x" for n in range(words - 1))
    by_words, _, _ = worded(here, f"parser {others}", lambda: Query(np.zeros(1, np.float32)))
    assert len(by_words.scores) == 2
    assert len(by_words.rarity) == min(words, WORDS_MAX)


def test_no_text_has_more_stems_than_are_made_room_for() -> None:
    chosen = random.Random(7)
    signs = [
        *"abz019 -_./:@<>&;=?#%+'é—世ß🙂",
        "http://",
        "www.",
        ".org",
        "&amp;",
        "<b>",
        "1e-5",
        "\u0301",
    ]
    texts = ["".join(chosen.choices(signs, k=chosen.randint(1, 30))) for _ in range(20_000)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT length(to_tsvector('simple', t)) FROM unnest(%s::text[]) AS t", [texts]
        )
        stems = [row[0] for row in cursor.fetchall()]
    short = [t for t, n in zip(texts, stems, strict=True) if n > stems_max(t)]
    assert short == []
    assert max(stems) > 8


def test_a_connection_keeps_a_statement_for_each_number_of_words_and_no_more() -> None:
    def kept() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_prepared_statements"
                " WHERE statement LIKE '%near AS%' OR statement LIKE '%hits AS%'"
            )
            (count,) = cursor.fetchone()
        return int(count)

    before = kept()
    for words in ("parser late", "parser mends", "late mends", "ana said", "bo said", "no idea"):
        for since in (None, START):
            memory.recall(NAMES[0], words, since=since)
    assert 0 < kept() - before <= 4  # both statements, with and without the filter


SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name ~ '^(enable_|plan_cache|synchronous_commit)' ORDER BY name
"""


@pytest.mark.parametrize("count", [1, 3])
def test_a_recall_leaves_a_transaction_as_it_plans_and_commits(count: int) -> None:
    def as_set() -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(SETTINGS)
            return list(cursor.fetchall())

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = on")  # these servers do without
        before = as_set()
        assert memory.recall(NAMES[:count], "who mends the parser?")
        assert as_set() == before
