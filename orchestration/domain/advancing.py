"""What the orchestrator does next with a goal: a pure function over what is observed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observed:
    """A running goal, counted. Ids are task ids."""

    expandable: tuple[int, ...]  # fan-outs whose own dependencies are settled
    startable: tuple[int, ...]  # blocked with nothing left to wait for (a missed unlock, healed)
    moving: int  # ready, running, verifying or held
    blocked: int
    failed: tuple[str, ...]  # keys of failed tasks that were not optional


@dataclass(frozen=True, slots=True)
class Expand:
    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Start:
    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Succeed:
    """Every task has come to its end and none that mattered failed."""


@dataclass(frozen=True, slots=True)
class Fall:
    """Nothing can go on and something that mattered failed; what is blocked is cancelled."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Something is under way or held."""


Decision = Expand | Start | Succeed | Fall | Wait


def decide(seen: Observed) -> Decision:
    if seen.expandable:
        return Expand(seen.expandable)
    if seen.startable:
        return Start(seen.startable)
    if seen.moving:
        return Wait()
    if seen.failed:
        names = ", ".join(seen.failed[:5]) + (" …" if len(seen.failed) > 5 else "")
        return Fall(reason=f"failed: {names}")
    if seen.blocked:
        return Fall(reason=f"{seen.blocked} tasks wait for something that cannot come")
    return Succeed()
