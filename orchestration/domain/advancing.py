"""What the orchestrator does next with a goal: a pure function over what is observed."""

from __future__ import annotations

from dataclasses import dataclass

NAMED_MAX = 5
REASON_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Observed:
    """A running goal, counted. Ids are task ids."""

    expandable: tuple[int, ...]  # fan-outs whose own dependencies are settled
    startable: tuple[int, ...]  # blocked with nothing left to wait for (a missed unlock, healed)
    moving: int  # ready, running, verifying or held
    blocked: int
    failed: tuple[str, ...]  # keys of failed tasks that were not optional
    # Counted at the end only: all tasks, those that are done, what optional ones failed of.
    total: int = 0
    done: int = 0
    went_without: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Expand:
    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Start:
    task_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Succeed:
    """Every task has come to its end and none that mattered failed. `reason` where none is done."""

    reason: str = ""


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
    return Succeed(reason=_nothing_done(seen))


def _nothing_done(seen: Observed) -> str:
    """A plan may say that no task of it matters; that nothing came of it is said all the same."""
    if seen.done or not seen.total:
        return ""
    said = f"0 of {seen.total} done"
    if not seen.went_without:
        return said
    names = [key for key, _ in seen.went_without]
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    first = seen.went_without[0][1]
    why = f"; {names[0]}: {first[:REASON_CHARS_MAX]}" if first else ""
    return f"{said}: {', '.join(names[:NAMED_MAX])}{more} failed, all of them optional{why}"
