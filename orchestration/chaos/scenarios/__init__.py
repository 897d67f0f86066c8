"""The scenarios by name. Each is a function that is given a stage and hurts what plays on it."""

from __future__ import annotations

from orchestration.chaos.scenarios import (
    brokers,
    databases,
    kills,
    merges,
    overlaps,
    points,
    several,
    webs,
    zombies,
)
from orchestration.chaos.scenarios.base import Scenario, registered

__all__ = ["SCENARIOS", "Scenario"]

_MODULES = (
    kills,
    points,
    merges,
    overlaps,
    zombies,
    brokers,
    databases,
    several,
    webs,
)  # importing one registers what is in it
SCENARIOS: dict[str, Scenario] = registered()
