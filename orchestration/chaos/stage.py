"""Where a scenario plays: its processes, its goals, its dice, and what it notes down."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestration.chaos import plans
from orchestration.chaos.agents import WITNESS
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import Crew, Process, Witness, session_of, wait_for
from orchestration.chaos.faults import Faults
from orchestration.chaos.servers import Servers
from orchestration.models import Goal, Task
from orchestration.services.goals import goal_submit

SETTLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Order:
    """How much of a scenario: tasks, faults, seconds of faults; the seed chooses the moments."""

    tasks: int
    faults: int
    seconds: float
    seed: int = 1


@dataclass(slots=True)
class Stage:
    order: Order
    servers: Servers
    crew: Crew
    witness: Witness
    say: Callable[[str], None]
    faults: Faults = field(default_factory=Faults)
    notes: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)  # what a scenario itself found broken
    _dice: random.Random | None = None

    @property
    def dice(self) -> random.Random:
        if self._dice is None:
            self._dice = random.Random(self.order.seed)  # noqa: S311 - chooses moments of faults
        return self._dice

    def workers(self, count: int, **env: str) -> list[Process]:
        """Start workers and wait until they are up."""
        started = [self.crew.worker(**env) for _ in range(count)]
        self.crew.wait_up(*started)
        return started

    def submit(self, *, workers: int, steps: int = 3, seconds: float | None = None) -> Goal:
        """A goal of the ordered number of tasks that keeps all threads of `workers` busy for about
        `seconds` (the ordered ones), were there no faults."""
        threads = workers * self.crew.concurrency
        count = min(threads, self.order.tasks)
        length = -(-self.order.tasks // count)
        share = 0.75 * length * steps  # a fourth of the tasks is cheap
        step_seconds = min(2.0, max(0.005, (seconds or self.order.seconds) / share - 0.02))
        document = plans.lines(count, length, steps=steps, step_seconds=round(step_seconds, 3))
        self.say(f"{count} lines of {length} tasks, {steps} steps of {step_seconds:.2f} s each")
        return self.goal(document)

    def goal(self, document: Mapping[str, Any]) -> Goal:
        return goal_submit(objective="", project="chaos", document=document, actor="chaos")

    @property
    def is_over(self) -> bool:
        return ask(self._none_open)

    def until_over(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait for the end of all goals, for as long as tasks are being finished."""
        before = -1
        finished = Task.objects.filter(finished_at__isnull=False)
        while (now := ask(finished.count)) != before:
            before = now
            if wait_for(self._none_open, seconds=seconds):
                return
        self.wrong.append(f"no task was finished for {seconds:.0f} s and goals are open")

    def hurt(self, kind: str, *processes: Process) -> None:
        """Note the fault that is about to hit these processes."""
        self.faults.note(kind, [session_of(process) for process in processes])

    def pause(self, low: float, high: float) -> None:
        """Let a random time pass, or less when all is over."""
        wait_for(self._none_open, seconds=self.dice.uniform(low, high), pause=0.02)

    def _none_open(self) -> bool:
        return not Goal.objects.filter(finished_at=None).exists()


@contextmanager
def stage_of(
    folder: Path,
    order: Order,
    env: Mapping[str, str],
    say: Callable[[str], None],
    *,
    servers: Servers,
    concurrency: int = 4,
) -> Iterator[Stage]:
    """A stage with its witness; whatever was started on it is ended."""
    witness = Witness(folder)
    crew = Crew(folder / "logs", {**env, WITNESS: witness.url}, concurrency=concurrency)
    try:
        yield Stage(order, servers, crew, witness, say)
    finally:
        crew.end()
        witness.end()
