"""Whatever happens, nothing is lost, nothing is done twice, and everything comes to an end."""

from __future__ import annotations

from collections import Counter

import pytest

from agentsys.kernel.crashpoints import POINTS
from tests.simulation.rig import rigged
from tests.simulation.simulation import simulate
from tests.simulation.telling import told

pytestmark = pytest.mark.django_db(transaction=True)

BLOCK = 50
SEEDS = 300


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_a_block_of_seeds_breaks_nothing(first: int) -> None:
    faults: Counter[str] = Counter()
    with rigged() as rig:
        for seed in range(first, first + BLOCK):
            result = simulate(seed, rig)
            assert not result.violations, told(result, trace=True)
            faults += result.faults
    died_at = {name for name in POINTS if faults[f"crash at {name}"]}
    assert len(died_at) >= len(POINTS) / 2, f"only at {died_at}"
    assert min(faults[kind] for kind in ("lost", "doubled", "stall", "kill", "away")) > 0


def test_a_seed_plays_the_same_way_again() -> None:
    with rigged() as rig:
        first, second = simulate(7, rig), simulate(7, rig)
    assert [line[13:25] for line in first.trace] == [line[13:25] for line in second.trace]
    assert first.faults == second.faults
    assert first.rounds == second.rounds
