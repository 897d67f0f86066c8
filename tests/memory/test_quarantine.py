"""What an agent writes waits until it was verified, or until a person has looked at it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections

from agentsys.kernel.errors import BadInput, NotFound
from memory import services as memory
from memory.models import Chunk, Link, Memory

pytestmark = pytest.mark.django_db
HERE = "project-1"
SAID = "The staging server is called tulip"


def proposed(text: str = SAID, *, trust: str = "untrusted", batch: str = "attempt-7") -> int:
    return memory.remember(
        HERE, "semantic", text, actor="coder", trust=trust, batch=batch, quarantined=True
    )


def found(query: str = "what is the staging server called") -> list[int]:
    return [hit.id for hit in memory.recall(HERE, query)]


def test_what_waits_is_not_found_and_has_no_chunks() -> None:
    row = proposed()
    assert found() == []
    assert not Chunk.objects.filter(memory_id=row).exists()
    assert [one["id"] for one in memory.quarantine_list(HERE)] == [row]


def test_a_released_memory_is_found_and_keeps_its_trust() -> None:
    row = proposed()
    assert memory.quarantine_release(row, by="ana", reason="checked") == row
    assert found() == [row]
    assert Memory.objects.get(pk=row).trust == "untrusted"
    (version,) = memory.history(row)
    assert [(e["event"], e["actor"], e["reason"]) for e in version["events"]] == [
        ("released", "ana", "checked")
    ]


def test_a_rejected_memory_loses_its_text() -> None:
    row = proposed()
    memory.quarantine_reject(row, by="ana", reason="made up")
    kept = Memory.objects.get(pk=row)
    assert (kept.state, kept.text, memory.quarantine_list(HERE)) == ("gone", "", [])
    with pytest.raises(memory.NotQuarantined, match="gone"):
        memory.quarantine_release(row, by="ana", reason="after all")


def test_acceptance_releases_what_stems_from_the_project_and_nothing_else() -> None:
    clean = proposed("The default branch is called trunk", trust="unverified")
    tainted = proposed()
    other = proposed("The port is 8080 there", trust="unverified", batch="attempt-8")
    assert memory.release_verified(["attempt-7"], namespace=HERE) == 1
    states = dict(Memory.objects.values_list("pk", "state"))
    assert states == {clean: "live", tainted: "quarantined", other: "quarantined"}
    assert memory.release_verified(["attempt-8"], namespace="project-2") == 0


def test_what_was_taken_back_is_not_released_by_acceptance() -> None:
    row = proposed(trust="unverified")
    memory.release_verified(["attempt-7"], namespace=HERE)
    memory.rollback(memory.Batch(HERE, batch="attempt-7"), by="ana", reason="poison")
    assert memory.release_verified(["attempt-7"], namespace=HERE) == 0
    assert Memory.objects.get(pk=row).state == "quarantined"


def test_the_same_proposal_waits_once() -> None:
    assert proposed() == proposed(batch="attempt-9")
    live = memory.remember(HERE, "semantic", "Ana likes tea", trust="untrusted")
    assert proposed("Ana likes tea") == live


def test_what_is_known_already_is_merged_when_it_is_released() -> None:
    row = proposed()
    live = memory.remember(HERE, "semantic", SAID, trust="untrusted")
    assert memory.quarantine_release(row, by="ana", reason="fine") == live
    assert Memory.objects.get(pk=row).state == "gone"


def test_a_released_memory_is_compared_with_what_is_known() -> None:
    known = memory.remember(HERE, "semantic", "retry limit: 3", trust="untrusted")
    row = proposed("retry limit: 5")
    assert not Link.objects.exists()
    memory.quarantine_release(row, by="ana", reason="checked")
    assert Link.objects.filter(older=known, newer=row, kind="updates").exists()


def test_a_decision_needs_a_reason_and_something_that_waits() -> None:
    row = proposed()
    with pytest.raises(BadInput, match="reason"):
        memory.quarantine_release(row, by="ana", reason=" ")
    with pytest.raises(NotFound):
        memory.quarantine_reject(999_999, by="ana", reason="x")
    with pytest.raises(NotFound):
        memory.pin(row)
    with pytest.raises(memory.NotCurrent, match="quarantine"):
        memory.supersede(row, "something else")


@pytest.mark.parametrize("action", ["release", "reject"])
@pytest.mark.parametrize("bad", ["abc", "999999"])
def test_one_id_that_is_none_leaves_all_as_they_were(action: str, bad: str) -> None:
    row = proposed()
    with pytest.raises((BadInput, NotFound)):
        call_command("memory", "quarantine", action, str(row), bad, "--reason", "x")
    assert Memory.objects.get(pk=row).state == "quarantined"
    assert memory.history(row)[0]["events"] == []


def test_several_are_decided_at_once_and_one_named_twice_counts_once() -> None:
    first, second = proposed(), proposed("The port is 8080 there")
    given = (str(second), f"memory-{first}", str(second))
    out = StringIO()
    call_command("memory", "quarantine", "release", *given, "--reason", "x", stdout=out)
    assert out.getvalue().split("\n")[:2] == [
        f"memory-{second} released",
        f"memory-{first} released",
    ]
    assert set(Memory.objects.values_list("state", flat=True)) == {"live"}


def _said_elsewhere() -> int:
    """On a connection of its own, as another worker has."""

    def say() -> int:
        try:
            return memory.remember(HERE, "semantic", SAID, trust="untrusted")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(say).result()


@pytest.mark.django_db(transaction=True)
def test_what_somebody_says_while_it_is_released_is_merged_with_it() -> None:
    row = proposed()
    said: list[int] = []

    def beside(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith('UPDATE "agentsys_memory_memory" SET "state"') and not said:
            said.append(_said_elsewhere())
        return execute(sql, *rest)

    with connection.execute_wrapper(beside):
        assert memory.quarantine_release(row, by="ana", reason="fine") == said[0]
    states = dict(Memory.objects.values_list("pk", "state"))
    assert states == {row: "gone", said[0]: "live"}


def test_what_is_released_takes_the_place_of_nothing_that_is_trusted_more() -> None:
    """As it is after an import whose file says that the one replaced the other."""
    held = memory.remember(HERE, "semantic", "The port is 80", trust="unverified")
    planted = memory.remember(
        HERE, "semantic", "The port is 666", trust="untrusted", quarantined=True
    )
    Memory.objects.filter(pk=planted).update(supersedes=held)
    memory.quarantine_release(planted, by="ann", reason="to be looked at")
    assert Memory.objects.get(pk=held).valid_to is None
