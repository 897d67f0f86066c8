"""Days of events against a budget: what is bounded stays bounded, what matters is found, nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from memory import services as memory
from memory.models import Memory
from memory.simulation.running import START, Plan, simulate
from memory.simulation.world import World


def test_the_same_seed_says_the_same_and_two_in_five_events_are_repeats() -> None:
    days = [[e.draft.text for e in World(7, START, 2000).day(0)] for _ in range(2)]
    assert days[0] == days[1]
    assert 0.3 < 1 - len(set(days[0])) / 2000 < 0.5
    assert days[0] != [
        e.draft.text for e in World(8, datetime(2026, 3, 2, tzinfo=UTC), 2000).day(0)
    ]


def test_neither_its_kind_nor_its_trust_gives_away_what_was_planted() -> None:
    events = list(World(7, START, 2000).day(0))
    for trait in ({"kind": "decision"}, {"trust": "verified"}):
        like = [e for e in events if all(getattr(e.draft, k) == v for k, v in trait.items())]
        assert len(like) > 3 * sum(e.planted is not None for e in like) > 0


@pytest.mark.django_db(transaction=True)
def test_three_days_within_a_budget_with_processes_killed_in_between(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, embedder="hashing")
    plan = Plan(days=3, events=500, seed=1, rows_max=450, bytes_max=1_200_000, kills=3)
    found = simulate(plan, tell=lambda text: None)
    assert found.problems == ()
    assert (found.events, found.kills, found.lost, found.twice) == (1500, 3, 0, 0)
    assert found.pins_kept == found.pins == 3
    assert found.recalled >= 0.9 * found.recalled_unbounded > 0.8
    assert found.rows > 2 * plan.rows_max
    assert "| pins kept | 3 of 3 |" in found.markdown()
    assert not Memory.objects.exists()
    assert memory.stats()["live"] == 0
