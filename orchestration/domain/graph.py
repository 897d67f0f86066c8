"""Graphs of task keys: order, cycles, ancestors, the longest line. Linear in nodes and edges."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter


def cycle_of(needs: Mapping[str, Collection[str]]) -> list[str]:
    """A cycle as the keys on it, the first one repeated at the end; [] when there is none."""
    try:
        TopologicalSorter({key: list(deps) for key, deps in needs.items()}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def order_of(needs: Mapping[str, Collection[str]]) -> list[str]:
    """Every key after all that it needs. The graph must have no cycle."""
    return list(TopologicalSorter({key: list(deps) for key, deps in needs.items()}).static_order())


def ancestors_of(needs: Mapping[str, Collection[str]], wanted: Collection[str]) -> dict[str, int]:
    """key → the `wanted` keys above it, as a bit set over the order of `wanted`."""
    bit = {key: 1 << i for i, key in enumerate(wanted)}
    above: dict[str, int] = {}
    for key in order_of(needs):
        mask = 0
        for need in needs.get(key, ()):
            mask |= above.get(need, 0) | bit.get(need, 0)
        above[key] = mask
    return above


def above(needs: Mapping[str, Collection[str]], key: str) -> set[str]:
    """All that `key` needs, near and far."""
    seen: set[str] = set()
    todo = list(needs.get(key, ()))
    while todo:
        found = todo.pop()
        if found not in seen:
            seen.add(found)
            todo.extend(needs.get(found, ()))
    return seen


def critical_path(
    needs: Mapping[str, Collection[str]], weight: Mapping[str, float]
) -> tuple[list[str], float]:
    """The heaviest line through the graph and its weight."""
    best: dict[str, tuple[float, str | None]] = {}
    for key in order_of(needs):
        before = max(
            ((best[n][0], n) for n in needs.get(key, ()) if n in best), default=(0.0, None)
        )
        best[key] = (before[0] + weight.get(key, 1.0), before[1])
    if not best:
        return [], 0.0
    last: str | None = max(best, key=lambda k: best[k][0])
    total = best[last][0] if last else 0.0
    line: list[str] = []
    while last is not None:
        line.append(last)
        last = best[last][1]
    return line[::-1], total


def depth_of(needs: Mapping[str, Collection[str]], keys: Sequence[str] | None = None) -> int:
    """How many tasks the longest line has."""
    line, _ = critical_path(needs, dict.fromkeys(keys or needs, 1.0))
    return len(line)
