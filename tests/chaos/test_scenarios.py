"""Real processes are killed, frozen and cut off, and the witness counts: nothing lost or doubled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestration.chaos.lab import Lab
from orchestration.chaos.report import problems
from orchestration.chaos.scenarios import SCENARIOS
from orchestration.chaos.scenarios.databases import SHORT_LEASE
from orchestration.chaos.stage import Order

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


@pytest.mark.parametrize(
    ("name", "tasks", "faults", "seconds"),
    [
        ("kill-worker", 10, 2, 8),
        ("zombie", 10, 1, 8),
        ("flush", 20, 1, 4),
        ("cut-commits", 10, 3, 6),
        ("deaf", 10, 1, 4),
    ],
)
def test_nothing_is_lost_and_nothing_is_doubled_by(
    name: str, tasks: int, faults: int, seconds: float, lab: Lab
) -> None:
    scenario = SCENARIOS[name]
    scenario = replace(scenario, env={**SHORT_LEASE, **scenario.env})
    outcome = lab.play(scenario, Order(tasks, faults, seconds, seed=7))
    assert problems(outcome) == []
    assert outcome.done == outcome.tasks >= tasks
    assert sum(outcome.faults.values()) >= 1
    assert outcome.effects > 0


def test_overlapping_wishes_end_in_one_tree_that_passes(lab: Lab) -> None:
    outcome = lab.play(SCENARIOS["overlaps"], Order(40, 1, 60, seed=7))
    assert problems(outcome) == []
    assert outcome.notes["runs"] == 1
    assert outcome.notes["proposals applied"] > 20
    assert outcome.notes["conflict.merge"] > 0  # or nothing was tried
