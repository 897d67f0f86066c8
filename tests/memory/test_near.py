"""Large namespaces have a vector index of their own, and recall finds the same with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from memory import near
from memory import services as memory

pytestmark = pytest.mark.django_db(transaction=True)
HERE, ELSEWHERE = "project-1", "project-2"
THINGS = ("budget", "parser", "release", "login page", "database", "cache", "invoice", "deadline")


@pytest.fixture
def rows() -> list[int]:
    near.index_large(100)  # what another test left
    memory.remember_many(
        [memory.MemoryDraft(ELSEWHERE, "semantic", "The parser of another project")]
    )
    return memory.remember_many(
        [
            memory.MemoryDraft(
                HERE,
                "semantic",
                f"The {thing} of team {n} is late",
                session=f"s{n // 10}",
                actor="ana",
            )
            for n in range(20)
            for thing in THINGS
        ]
    )


def _indexes() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'agentsys_near_%'")
        return [row[0] for row in cursor.fetchall()]


def _found(query: str, **asked: Any) -> list[tuple[int, float]]:
    hits = memory.recall(HERE, query, k=20, budget_tokens=10_000, **asked)
    return [(hit.id, round(hit.score, 1)) for hit in hits]


def test_only_a_large_namespace_gets_an_index_and_loses_it_when_it_shrinks(rows: list[int]) -> None:
    assert near.index_large(100) == {"made": 1, "dropped": 0}
    assert near.index_large(100) == {"made": 0, "dropped": 0}
    (made,) = _indexes()
    assert "hnsw" in made and HERE in made
    for pk in rows[:100]:
        memory.forget(pk, "ana", "smaller")
    assert near.index_large(100) == {"made": 0, "dropped": 1}
    assert _indexes() == []


def test_recall_finds_by_the_index_what_it_finds_without(rows: list[int]) -> None:
    exact = [_found(query) for query in ("late invoice of team 7", "login", "which cache is slow?")]
    near.index_large(100)
    assert near.indexed([HERE, ELSEWHERE]) == {HERE}
    fast = [_found(query) for query in ("late invoice of team 7", "login", "which cache is slow?")]
    assert [[pk for pk, _ in found[:8]] for found in fast] == [
        [pk for pk, _ in found[:8]] for found in exact
    ]
    near.index_large(100)


def test_filters_hold_behind_the_index_and_no_other_namespace_is_seen(rows: list[int]) -> None:
    pk = memory.remember(HERE, "episodic", "The parser of team 99 is early", actor="bo")
    near.index_large(100)
    assert [row for row, _ in _found("parser", actor="bo")] == [pk]
    assert [row for row, _ in _found("parser", layers=["episodic"])] == [pk]
    both = memory.recall([HERE, ELSEWHERE], "parser of another project", k=50, budget_tokens=10_000)
    assert {hit.namespace for hit in both} == {HERE, ELSEWHERE}


def _elsewhere() -> dict[str, int]:
    """On a connection of its own, as another worker has."""

    def build() -> dict[str, int]:
        try:
            return near.index_large(100)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(build).result()


def test_while_one_process_builds_another_does_nothing(rows: list[int]) -> None:
    other: list[dict[str, int]] = []

    def beside(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith("CREATE INDEX"):
            other.append(_elsewhere())
        return execute(sql, *rest)

    with connection.execute_wrapper(beside):
        assert near.index_large(100) == {"made": 1, "dropped": 0}
    assert other == [{"made": 0, "dropped": 0}]
    assert len(_indexes()) == 1
    assert near.indexed([HERE]) == {HERE}


def test_a_build_that_breaks_off_keeps_no_other_from_building(rows: list[int]) -> None:
    def broken(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith("CREATE INDEX"):
            raise KeyboardInterrupt
        return execute(sql, *rest)

    with pytest.raises(KeyboardInterrupt), connection.execute_wrapper(broken):
        near.index_large(100)
    assert _elsewhere() == {"made": 1, "dropped": 0}
