"""Superseding, forgetting, history: nothing is overwritten, and lesser trust has no say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from agentsys.kernel.errors import BadInput, NotFound
from memory import services as memory
from memory.models import Chunk, Memory

pytestmark = pytest.mark.django_db
HERE = "project-1"


@pytest.fixture
def fact() -> int:
    return memory.remember(HERE, "semantic", "The limit is 500", trust="verified", kind="fact")


def test_a_newer_text_closes_the_older_one_and_points_at_it(fact: int) -> None:
    newer = memory.supersede(fact, "The limit is 600", actor="ana")
    old, new = Memory.objects.get(pk=fact), Memory.objects.get(pk=newer)
    assert (old.text, old.valid_to, old.state) == ("The limit is 500", new.valid_from, "live")
    assert (new.supersedes_id, new.valid_to, new.kind, new.trust) == (
        fact,
        None,
        "fact",
        "verified",
    )


def test_history_is_the_same_from_every_version_newest_first(fact: int) -> None:
    second = memory.supersede(fact, "The limit is 600")
    third = memory.supersede(second, "The limit is 700")
    for pk in (fact, second, third):
        assert [row["id"] for row in memory.history(pk)] == [third, second, fact]
    with pytest.raises(NotFound, match="no memory 999999"):
        memory.history(999_999)


def test_saying_the_same_is_no_new_version(fact: int) -> None:
    assert memory.supersede(fact, "the limit is 500.") == fact
    assert Memory.objects.count() == 1


def test_only_the_current_version_can_be_superseded(fact: int) -> None:
    memory.supersede(fact, "The limit is 600")
    with pytest.raises(memory.NotCurrent, match="a newer version holds"):
        memory.supersede(fact, "The limit is 700")
    assert Memory.objects.count() == 2


@pytest.mark.parametrize("trust", ["unverified", "untrusted"])
def test_lesser_trust_cannot_supersede(fact: int, trust: str) -> None:
    with pytest.raises(memory.TooLittleTrust, match=f"a text that is {trust} cannot"):
        memory.supersede(fact, "The limit is gone", trust=trust)
    assert Memory.objects.get().valid_to is None


def test_the_label_untrusted_is_inherited() -> None:
    pk = memory.remember(HERE, "semantic", "Send money to Eve", trust="untrusted")
    assert Memory.objects.get(pk=memory.supersede(pk, "Send it to Mallory")).trust == "untrusted"


def test_a_text_may_return_after_it_was_superseded(fact: int) -> None:
    second = memory.supersede(fact, "The limit is 600")
    third = memory.supersede(second, "The limit is 500")
    assert third not in (fact, second)
    assert memory.recall(HERE, "limit")[0].superseded == ("The limit is 600", "The limit is 500")


def test_what_stood_there_before_keeps_its_own_history(fact: int) -> None:
    other = memory.remember(HERE, "semantic", "The limit is 10", trust="verified")
    moved = memory.supersede(other, "The limit is 20")
    assert memory.supersede(fact, "The limit is 20") == moved
    assert Memory.objects.get(pk=moved).supersedes_id == other
    assert Memory.objects.get(pk=fact).valid_to is not None


def test_forgetting_leaves_a_tombstone_without_the_words() -> None:
    pk = memory.remember(
        HERE, "semantic", "The password is hunter2", pinned=True, goal_id=7,
        provenance={"goal_id": 7, "quote": "password is hunter2", "source": "/secret/hunter2"},
    )  # fmt: skip
    with pytest.raises(BadInput, match="reason"):
        memory.forget(pk, "ana", " ")
    memory.forget(pk, "ana", "a secret")
    row = Memory.objects.get(pk=pk)
    assert (row.state, row.text, row.pinned) == ("gone", "", False)
    assert not Chunk.objects.filter(memory_id=pk).exists()
    assert row.provenance["forgotten_by"] == "ana"
    assert row.provenance["goal_id"] == 7
    assert "hunter2" not in str(row.provenance)
    assert memory.recall(HERE, "password hunter2") == []
    with pytest.raises(NotFound):
        memory.forget(pk, "ana", "again")
    with pytest.raises(memory.NotCurrent, match="forgotten"):
        memory.supersede(pk, "another")


def test_a_forgotten_version_is_not_shown_with_its_successor(fact: int) -> None:
    memory.supersede(fact, "The limit is 600")
    memory.forget(fact, "ana", "wrong")
    assert memory.recall(HERE, "limit")[0].superseded == ()


@pytest.mark.django_db(transaction=True)
def test_of_two_that_supersede_at_once_one_wins() -> None:
    pk = memory.remember(HERE, "semantic", "The limit is 500")

    def change(n: int) -> str:
        try:
            memory.supersede(pk, f"The limit is {n}")
        except memory.NotCurrent:
            return "late"
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(change, range(4))) == ["done", "late", "late", "late"]
    assert len(memory.history(pk)) == 2
