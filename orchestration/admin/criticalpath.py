"""Which chain of tasks decides when the goal is done. Pure.

The longest chain by seconds of work. While tasks are left, what is finished weighs nothing, so that the
chain is of what must still be done; once all are over it is the chain that the goal's time went into. A
task that was not finished weighs what finished ones of its agent took on average, all agents' where that
one has none, and a second where nothing has finished yet: then it is the chain with most tasks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestration.admin.graph import ENDED, TaskFact


@dataclass(frozen=True, slots=True)
class Chain:
    """`ids` from the first task to the last; `seconds` is None where nothing has finished yet."""

    ids: tuple[int, ...]
    seconds: float | None
    left: bool  # whether it is of what must still be done

    @property
    def steps(self) -> frozenset[tuple[int, int]]:
        """(task, needs) of each step."""
        return frozenset(zip(self.ids[1:], self.ids, strict=False))


NONE = Chain((), None, left=False)


def critical(tasks: Sequence[TaskFact], edges: Iterable[tuple[int, int]]) -> Chain:
    """NONE for less than two tasks in a row."""
    left = any(task.state not in ENDED for task in tasks)
    weights, known = _weights(tasks, left)
    needs: dict[int, list[int]] = defaultdict(list)
    for task, need in edges:
        if task in weights and need in weights:
            needs[task].append(need)
    order = _in_order(weights, needs)
    longest: dict[int, float] = {}
    before: dict[int, int] = {}
    for task in order:
        first = max(needs[task], key=lambda n: (longest[n], -n), default=None)
        longest[task] = weights[task] + (longest[first] if first is not None else 0.0)
        if first is not None and longest[first] > 0:
            before[task] = first
    if not longest:
        return NONE
    last = max(longest, key=lambda t: (longest[t], -t))
    ids = [last]
    while ids[-1] in before:
        ids.append(before[ids[-1]])
    if len(ids) < 2:
        return NONE
    return Chain(tuple(reversed(ids)), longest[last] if known else None, left)


def _weights(tasks: Sequence[TaskFact], left: bool) -> tuple[dict[int, float], bool]:
    """Seconds by task, and whether any was measured."""
    took: dict[str, list[float]] = defaultdict(list)
    for task in tasks:
        if task.state == "done" and task.seconds is not None:
            took[task.agent].append(task.seconds)
    everything = [one for each in took.values() for one in each]
    mean = _mean(everything) if everything else 1.0
    means = {agent: _mean(each) for agent, each in took.items()}

    def weight(task: TaskFact) -> float:
        if task.state in ENDED:
            return 0.0 if left else max(task.seconds or 0.0, 1e-6)
        return means.get(task.agent, mean)

    return {task.id: weight(task) for task in tasks}, bool(everything)


def _mean(numbers: Sequence[float]) -> float:
    return max(sum(numbers) / len(numbers), 1e-6)


def _in_order(weights: Mapping[int, float], needs: Mapping[int, Sequence[int]]) -> list[int]:
    """Every task behind what it needs; what is in a cycle, which a valid plan has not, is left out."""
    waiting = Counter({task: len(needs.get(task, ())) for task in weights})
    dependents: dict[int, list[int]] = defaultdict(list)
    for task, whole in needs.items():
        for need in whole:
            dependents[need].append(task)
    free = [task for task in weights if not waiting[task]]
    order: list[int] = []
    while free:
        need = free.pop()
        order.append(need)
        for task in dependents[need]:
            waiting[task] -= 1
            if not waiting[task]:
                free.append(task)
    return order
