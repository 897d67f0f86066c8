"""The same histories, with Hypothesis choosing what happens next, and the invariants looked at
after each step: each commit alone must leave the tables sound. A failure is shrunk to few steps."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from orchestration.services.fsck import fsck
from tests.simulation.rig import Rig, rigged
from tests.simulation.simulation import Simulation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


HAPPENINGS = (
    *("deliver", "go on") * 6,
    *("submit", "sweep", "stall", "lease") * 2,
    *("kill", "kill idle", "told to stop", "lose", "double", "shuffle", "broker away"),
    *("person", "beat", "moment", "while", "days"),
)


class Histories(RuleBasedStateMachine):
    rig: ClassVar[Rig]

    @initialize(seed=st.integers(0, 10**6))
    def the_stage_is_set(self, seed: int) -> None:
        self.played = Simulation(seed, self.rig)
        self.played.set_the_stage()

    @rule(what=st.sampled_from(HAPPENINGS))
    def then(self, what: str) -> None:
        act = {name: act for _, name, act in self.played.options()}.get(what)
        if act is not None:
            self.played.play(act)

    @invariant()
    def the_tables_are_sound(self) -> None:
        if not hasattr(self, "played"):
            return
        found = [
            f"{f.invariant} {f.ref}: {f.problem}"
            for goal in self.played.goals()
            for f in fsck(goal)
        ]
        assert self.played.result.violations + found == [], self.told()

    def teardown(self) -> None:
        if not hasattr(self, "played"):
            return
        try:
            self.played.come_to_rest()
            assert self.played.result.violations == [], self.told()
        finally:
            self.played.clear_the_stage()

    def told(self) -> str:
        return "\n".join(self.played.result.trace)


def test_whatever_hypothesis_lets_happen_the_tables_stay_sound() -> None:
    with rigged() as Histories.rig:
        run_state_machine_as_test(
            Histories,
            settings=settings(
                max_examples=40,
                stateful_step_count=50,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
