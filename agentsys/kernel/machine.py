"""A state machine as data: each event names the states it may leave and the one it enters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agentsys.kernel.errors import IllegalMove


@dataclass(frozen=True, slots=True)
class Move:
    sources: frozenset[StrEnum]
    target: StrEnum


@dataclass(frozen=True, slots=True)
class Machine:
    kind: str
    initial: StrEnum
    moves: Mapping[StrEnum, Move]
    revivals: frozenset[StrEnum] = frozenset()  # events by which a person changes what had ended

    def target(self, state: StrEnum, event: StrEnum) -> StrEnum:
        """The state that `event` leads to from `state`; IllegalMove where the table has none."""
        move = self.moves[event]
        if state not in move.sources:
            raise IllegalMove(
                kind=self.kind, state=state, event=event, allowed=sorted(self.events_from(state))
            )
        return move.target

    def events_from(self, state: StrEnum) -> frozenset[StrEnum]:
        return frozenset(event for event, move in self.moves.items() if state in move.sources)

    @property
    def states(self) -> frozenset[StrEnum]:
        return frozenset(type(self.initial))

    @property
    def terminal(self) -> frozenset[StrEnum]:
        """The states that nothing but a revival leaves; derived, so it agrees with the table."""
        onward = (move for event, move in self.moves.items() if event not in self.revivals)
        return self.states - {source for move in onward for source in move.sources}

    @property
    def open(self) -> frozenset[StrEnum]:
        return self.states - self.terminal


def move(*sources: StrEnum, to: StrEnum) -> Move:
    return Move(sources=frozenset(sources), target=to)


def diagram(machine: Machine) -> str:
    """The table as a Mermaid state diagram; `docs/` is generated from it."""
    lines = ["stateDiagram-v2", f"    [*] --> {machine.initial}"]
    for event, step in machine.moves.items():
        lines += [f"    {source} --> {step.target}: {event}" for source in sorted(step.sources)]
    lines += [f"    {state} --> [*]" for state in sorted(machine.terminal)]
    return "\n".join(lines) + "\n"
