"""Growth is bounded: only over budget, the weakest first, pins never."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from memory import services as memory
from memory.models import Chunk, Memory
from memory.tasks import maintain

pytestmark = pytest.mark.django_db
HERE = "project-1"


@pytest.fixture
def rows() -> list[int]:
    """Forty rows, the first the oldest: each a day older than the next."""
    ids = memory.remember_many(
        [memory.MemoryDraft(HERE, "semantic", f"Fact number {n}") for n in range(40)]
    )
    for n, pk in enumerate(ids):
        age = timedelta(days=42 - n)
        Memory.objects.filter(pk=pk).update(
            occurred_at=F("occurred_at") - age, recorded_at=F("recorded_at") - age
        )
    return ids


def gone() -> set[int]:
    return set(Memory.objects.filter(state="gone").values_list("pk", flat=True))


def test_nothing_goes_while_the_budget_holds(rows: list[int]) -> None:
    assert memory.prune(HERE, rows_max=40).pruned == ()
    assert gone() == set()


def test_the_oldest_unused_go_first_a_tenth_at_a_time_and_leave_tombstones(rows: list[int]) -> None:
    report = memory.prune(HERE, rows_max=10)
    assert (report.live, [pk for pk, _ in report.pruned]) == (40, rows[:4])
    assert gone() == set(rows[:4])
    stone = Memory.objects.get(pk=rows[0])
    assert (stone.text, stone.provenance["forgotten_by"]) == ("", "prune")


def test_a_dry_run_says_the_same_and_changes_nothing(rows: list[int]) -> None:
    planned = memory.prune(HERE, rows_max=10, dry_run=True)
    assert gone() == set()
    done = memory.prune(HERE, rows_max=10)
    assert [pk for pk, _ in planned.pruned] == [pk for pk, _ in done.pruned]


def test_pins_procedures_and_young_rows_stay_whatever_the_budget(rows: list[int]) -> None:
    memory.pin(rows[0])
    Memory.objects.filter(pk=rows[1]).update(layer="procedural")
    young = memory.remember(HERE, "semantic", "Just learned")
    for _ in range(80):
        memory.prune(HERE, rows_max=0)
    left = set(Memory.objects.filter(state="live").values_list("pk", flat=True))
    assert left == {rows[0], rows[1], young}


def test_use_and_importance_keep_a_memory(rows: list[int]) -> None:
    Memory.objects.filter(pk=rows[0]).update(access_count=5, last_access_at=Now())
    Memory.objects.filter(pk=rows[1]).update(importance=4)
    memory.prune(HERE, rows_max=36)
    assert gone() == set(rows[2:6])


def test_superseded_versions_go_before_what_holds(rows: list[int]) -> None:
    memory.supersede(rows[39], "Fact number 39 and a half")
    Memory.objects.filter(pk=rows[39]).update(valid_to=Now())
    assert memory.prune(HERE, rows_max=40).pruned == ((rows[39], "superseded"),)


def test_other_namespaces_are_left_alone(rows: list[int]) -> None:
    Memory.objects.filter(pk=rows[0]).update(namespace="project-2")
    memory.prune(HERE, rows_max=0)
    assert rows[0] not in gone()


def test_maintenance_refreshes_strengths_once_and_fills_in_vectors(rows: list[int]) -> None:
    Chunk.objects.filter(memory_id=rows[0]).delete()
    first, second = maintain(), maintain()
    assert first["pruned"] == 0
    assert first["refreshed"] > 30
    assert first["indexed"] == 1
    assert second == {"pruned": 0, "refreshed": 0, "indexed": 0}
    strengths = [Memory.objects.get(pk=pk).strength for pk in (rows[0], rows[-1])]
    assert 0 < strengths[0] < strengths[1] < 1
    assert Chunk.objects.get(memory_id=rows[0]).embedding is not None


def test_a_change_of_the_embedder_is_followed_row_by_row(rows: list[int], settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing")
    assert maintain()["indexed"] == 40
    assert set(Chunk.objects.values_list("embed_model", flat=True)) == {"hashing-256"}
    assert "dense" in memory.recall(HERE, "fact number 7", explain=True)[0].signals


def test_the_message_has_a_stable_name_and_its_own_queue() -> None:
    from agentsys.celery import app

    assert maintain.name == "memory.maintain"
    assert app.amqp.router.route({}, maintain.name)["queue"].name == "memory"


def test_a_text_without_words_is_not_embedded_again_and_again() -> None:
    memory.remember(HERE, "semantic", "☃☃☃", pinned=True)
    Chunk.objects.update(embed_model="")
    maintain()
    assert maintain()["indexed"] == 0
