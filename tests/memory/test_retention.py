"""Growth is bounded: only over budget, the weakest first, pins never."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now

from memory import services as memory
from memory.contracts import Move
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


def cold() -> set[int]:
    return set(Memory.objects.filter(state="cold").values_list("pk", flat=True))


def gone() -> set[int]:
    return set(Memory.objects.filter(state="gone").values_list("pk", flat=True))


def moved(report: memory.PruneReport) -> list[int]:
    return [move.id for move in report.pruned]


def test_nothing_goes_while_the_budget_holds(rows: list[int]) -> None:
    assert memory.prune(HERE, rows_max=40).pruned == ()
    assert cold() | gone() == set()


def test_the_oldest_unused_turn_cold_first_a_tenth_at_a_time(rows: list[int]) -> None:
    report = memory.prune(HERE, rows_max=10)
    assert (report.live, moved(report)) == (40, rows[:4])
    assert cold() == set(rows[:4])
    assert Memory.objects.get(pk=rows[0]).text == "Fact number 0"
    assert not Chunk.objects.filter(memory_id__in=rows[:4]).exists()


def test_over_the_budget_of_bytes_cold_rows_become_tombstones(rows: list[int]) -> None:
    Memory.objects.filter(pk__in=rows[:4]).update(text="At length. " * 90)
    memory.prune(HERE, rows_max=36)
    memory.prune_all(HERE, bytes_max=memory.usage(HERE).bytes - 1)
    assert gone() == {rows[0]}
    stone = Memory.objects.get(pk=rows[0])
    assert (stone.text, stone.provenance["forgotten_by"]) == ("", "prune")


def test_nothing_more_goes_for_bytes_that_tombstones_will_free(rows: list[int]) -> None:
    Memory.objects.filter(pk__in=rows[:10]).update(
        provenance={"key": "held in its tombstone " * 20}
    )
    memory.prune(HERE, rows_max=36)
    budget = memory.usage(HERE).bytes - memory.usage(HERE).cold_bytes // 2
    memory.prune_all(HERE, bytes_max=budget)
    assert gone() == set(rows[:2])
    assert (memory.usage(HERE).bytes > budget, len(cold())) == (True, 2)


def test_what_happened_is_not_gone_before_a_digest_has_it(rows: list[int]) -> None:
    Memory.objects.update(layer="episodic")
    for _ in range(2):
        memory.prune_all(HERE, bytes_max=0)
    assert (len(cold()), gone()) == (40, set())
    Memory.objects.filter(pk__in=rows[:20]).update(parent=rows[39])
    for _ in range(2):
        memory.prune_all(HERE, bytes_max=0)
    assert gone() == set(rows[:20])


def test_tombstones_of_pruning_go_after_a_day_where_bytes_are_short(rows: list[int]) -> None:
    memory.prune_all(HERE, rows_max=30)
    memory.prune_all(HERE, bytes_max=0)
    stones = gone()
    ledgers = min(stones)
    Memory.objects.filter(pk=ledgers).update(
        provenance={"ledger_seq": 7, "forgotten_by": "prune", "forgotten_at": "2020-01-01T00:00Z"}
    )
    memory.forget(young := memory.remember(HERE, "semantic", "A person's wish"), "ann", "asked")
    later = datetime.now(UTC) + timedelta(days=1, seconds=1)
    assert memory.prune(HERE, bytes_max=0, now=later).tombstones_dropped == len(stones) - 1
    assert gone() >= {ledgers, young}


def test_a_dry_run_says_the_same_and_changes_nothing(rows: list[int]) -> None:
    planned = memory.prune(HERE, rows_max=10, dry_run=True)
    assert cold() == set()
    assert planned.pruned[0].reason.startswith("worth ")
    assert moved(planned) == moved(memory.prune(HERE, rows_max=10))


def test_pins_procedures_and_young_rows_stay_whatever_the_budget(rows: list[int]) -> None:
    memory.pin(rows[0])
    Memory.objects.filter(pk=rows[1]).update(layer="procedural")
    young = memory.remember(HERE, "semantic", "Just learned")
    for _ in range(80):
        memory.prune(HERE, rows_max=0, bytes_max=0)
    left = set(Memory.objects.filter(state="live").values_list("pk", flat=True))
    assert left == {rows[0], rows[1], young}


def test_use_and_importance_keep_a_memory(rows: list[int]) -> None:
    Memory.objects.filter(pk=rows[0]).update(access_count=5, last_access_at=Now())
    Memory.objects.filter(pk=rows[1]).update(importance=4)
    memory.prune(HERE, rows_max=36)
    assert cold() == set(rows[2:6])


def test_superseded_versions_go_before_what_holds(rows: list[int]) -> None:
    memory.supersede(rows[39], "Fact number 39 and a half")
    Memory.objects.filter(pk=rows[39]).update(valid_to=Now())
    assert memory.prune(HERE, rows_max=40).pruned == (Move(rows[39], "cold", "superseded"),)


@pytest.mark.parametrize("said_later", ["verified", "unverified"])
def test_what_is_said_twice_goes_before_what_is_said_once_and_the_less_trusted_of_the_two(
    rows: list[int], said_later: str
) -> None:
    said = "The staging database of the billing service ran out of disk in the night of the release"
    ids = memory.remember_many(
        [
            memory.MemoryDraft(HERE, "semantic", said, trust=trust)
            for trust in sorted(("unverified", "verified"), key=said_later.__eq__)
        ]
    )
    Memory.objects.filter(pk__in=ids).update(recorded_at=F("recorded_at") - timedelta(days=2))
    report = memory.prune(HERE, rows_max=41)
    lesser = Memory.objects.get(pk__in=ids, trust="unverified").pk
    assert report.pruned == (Move(lesser, "cold", "another one says it too"),)


def test_of_what_is_as_trusted_the_latest_stays(rows: list[int]) -> None:
    texts = [f"The staging database of billing ran out of disk{end}" for end in ("", " again")]
    ids = memory.remember_many([memory.MemoryDraft(HERE, "semantic", text) for text in texts])
    Memory.objects.filter(pk__in=ids).update(recorded_at=F("recorded_at") - timedelta(days=2))
    assert moved(memory.prune(HERE, rows_max=41)) == [min(ids)]


def test_of_rows_that_are_alike_the_verified_one_stays(rows: list[int]) -> None:
    """The first would go, as the oldest."""
    Memory.objects.filter(pk=rows[0]).update(trust="verified")
    assert moved(memory.prune(HERE, rows_max=39)) == [rows[1]]


def test_other_namespaces_are_left_alone(rows: list[int]) -> None:
    Memory.objects.filter(pk=rows[0]).update(namespace="project-2")
    memory.prune(HERE, rows_max=0)
    assert rows[0] not in cold()


def test_maintenance_refreshes_strengths_once_and_fills_in_vectors(rows: list[int]) -> None:
    Chunk.objects.filter(memory_id=rows[0]).delete()
    first, second = maintain(), maintain()
    assert first["pruned"] == 0
    assert first["refreshed"] > 30
    assert first["indexed"] == 1
    assert not any(second.values())
    strengths = [Memory.objects.get(pk=pk).strength for pk in (rows[0], rows[-1])]
    assert 0 < strengths[0] < strengths[1] < 1
    assert Chunk.objects.get(memory_id=rows[0]).embedding is not None


@pytest.mark.parametrize("years", [-40, 40])
def test_maintenance_goes_on_with_what_is_dated_long_ago_or_far_ahead(years: int) -> None:
    at = datetime.now(UTC) + timedelta(days=365 * years)
    one = memory.remember(HERE, "semantic", "The tower was built of oak", occurred_at=at)
    assert maintain()["failed"] == 0
    assert 0 <= Memory.objects.get(pk=one).strength <= 1


def test_a_namespace_that_cannot_be_kept_up_holds_up_no_other(rows: list[int]) -> None:
    bad = memory.remember("project-0", "episodic", "A digest of no day at all")
    facts = {"of": "no day", "counts": {}, "words": 0, "quotes": {}}
    Memory.objects.filter(pk=bad).update(level=1, provenance=facts, state="cold")
    done = memory.maintain(rows_max=0)
    assert (done["failed"], done["pruned"] > 0) == (1, True)


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
