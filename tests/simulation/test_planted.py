"""The test of the tests: each planted bug is found."""

from __future__ import annotations

import re

import pytest

from tests.simulation.plants import PLANTS
from tests.simulation.rig import rigged
from tests.simulation.simulation import simulate

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.invents_entries,
]

SEEDS = 200
# Where each was seen, which is looked at first: a history is its seed's, until the simulation changes.
SEEN = {
    "fence not checked at commit": 26,
    "intent not written": 35,
    "race at a join": 7,
    "sweep without lock": 28,
    "lease by the worker's clock": 127,
    "verdicts counted by message": 91,
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_found(bug: str) -> None:
    plant, says = PLANTS[bug]
    with rigged() as rig, plant():
        for seed in (SEEN.get(bug, 0), *range(SEEDS)):
            if any(re.search(says, told) for told in simulate(seed, rig).violations):
                return
    raise AssertionError(f"{bug}: nobody said {says!r} in {SEEDS} seeds")
