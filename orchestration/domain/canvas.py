"""How ready agent tasks go out to Celery: flat, short canvases. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CHAIN_MAX = 20  # links; freezing a longer chain costs more than it saves
CHORD_MAX = 100  # headers; keeps the frozen canvas far below 64 kB


@dataclass(frozen=True, slots=True)
class Link:
    """One message: the task it is for and the fence it was published under."""

    task_id: int
    fence: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A linear stretch: each link is ready when the one before it was accepted."""

    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Chord:
    """Independent siblings; the callback lets the orchestrator look at the goal again."""

    links: tuple[Link, ...]


Canvas = Chain | Chord


def compile_canvases(
    ready: Sequence[Link], stretches: Mapping[int, Sequence[Link]]
) -> list[Canvas]:
    """Canvases for `ready` tasks. `stretches`: task id → the links that follow it in a line.

    Two or more ready siblings go out as chords; a single one takes its line along as a chain.
    """
    if len(ready) == 1:
        head = ready[0]
        line = (head, *stretches.get(head.task_id, ()))
        return [Chain(line[:CHAIN_MAX])]
    parts = [ready[i : i + CHORD_MAX] for i in range(0, len(ready), CHORD_MAX)]
    return [Chord(tuple(part)) if len(part) > 1 else Chain(tuple(part)) for part in parts]
