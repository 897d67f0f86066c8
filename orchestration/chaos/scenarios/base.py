"""What a scenario is: a name, what it does in a sentence, how much of it, and its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestration.chaos.stage import Order, Stage

Play = Callable[[Stage], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`env` are settings that differ from the defaults in it, which its report must say."""

    name: str
    title: str
    play: Play
    full: Order
    quick: Order
    env: Mapping[str, str] = field(default_factory=dict)
    concurrency: int = 4
    missing: Callable[[], str] = str  # what this machine lacks for it, in a few words


_all: dict[str, Scenario] = {}


def scenario(
    name: str,
    title: str,
    *,
    full: Order,
    quick: Order,
    env: Mapping[str, str] | None = None,
    concurrency: int = 4,
    missing: Callable[[], str] = str,
) -> Callable[[Play], Play]:
    """Register a function as a scenario."""

    def register(play: Play) -> Play:
        _all[name] = Scenario(name, title, play, full, quick, env or {}, concurrency, missing)
        return play

    return register


def registered() -> dict[str, Scenario]:
    return _all
