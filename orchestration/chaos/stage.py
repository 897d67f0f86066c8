"""Where a scenario plays: its processes, its goals, its dice, and what it notes down."""

from __future__ import annotations

import random
import time
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

SETTLE_SECONDS = 90.0
LINE_TASKS = 10  # tasks one after the other in one line of a goal


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
    goals: int = 0  # handed in by `feed`
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

    def feed(self, lines: int, **shape: Any) -> None:
        """See to it that `lines` lines of tasks are on their way: another goal when few are left.

        Fewer lines than threads leave room for what has to be done again."""
        if ask(self._unfinished) < LINE_TASKS * lines // 2:
            self.goals += 1
            document = plans.lines(lines, LINE_TASKS, **shape)
            ask(lambda: self.submit(document, key=f"goal {self.goals}"))

    def submit(self, document: Mapping[str, Any], *, key: str) -> Goal:
        """Hand in a goal; with the same key again it is the same goal."""
        return goal_submit(
            objective="", project="chaos", document=document, actor="chaos", idempotency_key=key
        )

    def enough(self, began: float) -> bool:
        """Have the ordered tasks been handed in, and the ordered faults or seconds been made?"""
        late = time.monotonic() - began >= self.order.seconds
        if ask(Task.objects.count) < self.order.tasks and not late:
            return False
        return late or len(self.faults.done) >= self.order.faults

    def _unfinished(self) -> int:
        return Task.objects.filter(finished_at=None).count()

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
        """Let a random time pass."""
        time.sleep(self.dice.uniform(low, high))

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
