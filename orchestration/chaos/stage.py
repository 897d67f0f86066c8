"""Where a scenario plays: its processes, its goals, its dice, and what it notes down."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from agentsys.kernel.wording import counted
from orchestration.chaos import plans
from orchestration.chaos.agents import WITNESS
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import Crew, Process, Witness, session_of, wait_for
from orchestration.chaos.faults import Faults
from orchestration.chaos.servers import Servers
from orchestration.models import Attempt, Goal, Task
from orchestration.services.goals import goal_submit

SETTLE_SECONDS = 90.0
FEED_SECONDS = 0.5
LOOK_SECONDS = 2.0
TELL_SECONDS = 5.0
PROGRESS = "progress.txt"  # in the folder of the scene: how far it is, for who waits
Plan = Callable[..., Mapping[str, Any]]  # of lines, tasks in each, and what shapes them

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
    folder: Path
    servers: Servers
    crew: Crew
    witness: Witness
    say: Callable[[str], None]
    faults: Faults = field(default_factory=Faults)
    notes: dict[str, Any] = field(default_factory=dict)
    goals: int = 0  # handed in by `feed`
    wrong: list[str] = field(default_factory=list)  # what a scenario itself found broken
    _dice: random.Random | None = None
    _lines: int = 1
    _plan: Callable[[], Mapping[str, Any]] = dict
    _began: float = 0.0
    _told: float = 0.0

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

    def busy(self, lines: int, *, plan: Plan = plans.lines, **shape: Any) -> None:
        """From now on see to it that `lines` lines of tasks are on their way (`pause` feeds).

        Fewer lines than threads leave room for what has to be done again; more let messages wait.
        """
        self._lines, self._plan = lines, partial(plan, lines, LINE_TASKS, **shape)
        self._began = time.monotonic()
        self._feed()

    def _feed(self) -> None:
        """Another goal when few tasks are left."""
        self._tell()
        self._supervise()
        if ask(self._unfinished) < LINE_TASKS * self._lines // 2:
            self.goals += 1
            ask(lambda: self.submit(self._plan(), key=f"goal {self.goals}"))

    def submit(self, document: Mapping[str, Any], *, key: str) -> Goal:
        """Hand in a goal; with the same key again it is the same goal."""
        return goal_submit(
            objective="", project="chaos", document=document, actor="chaos", idempotency_key=key
        )

    @property
    def enough(self) -> bool:
        """Have the ordered tasks been handed in and the ordered faults been made, or is it late?"""
        if time.monotonic() - self._began >= self.order.seconds:
            return True
        return (
            len(self.faults.done) >= self.order.faults
            and ask(Task.objects.count) >= self.order.tasks
        )

    @property
    def every(self) -> tuple[float, float]:
        """Pauses, from and to, that spread the ordered faults over the ordered seconds."""
        mean = self.order.seconds / self.order.faults
        return 0.5 * mean, 1.4 * mean

    def _unfinished(self) -> int:
        return Task.objects.filter(finished_at=None).count()

    @property
    def is_over(self) -> bool:
        return ask(self._none_open)

    def until_over(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait for the end of all goals, for as long as tasks are being finished."""
        finished, before, until = Task.objects.filter(finished_at__isnull=False), -1, 0.0
        while not wait_for(self._none_open, seconds=LOOK_SECONDS):
            self._supervise()
            if (now := ask(finished.count)) != before:
                before, until = now, time.monotonic() + seconds
            elif time.monotonic() > until:
                self.wrong.append(f"no task was finished for {seconds:.0f} s and goals are open")
                return

    def _supervise(self) -> None:
        if started := self.crew.supervise():
            told = "workers that gave up and were started again"
            self.notes[told] = self.notes.get(told, 0) + started

    def hurt(self, kind: str, *processes: Process) -> None:
        """Note the fault that is about to hit these processes."""
        sessions = [session_of(process) for process in processes]
        self.faults.note(kind, Attempt.objects.filter(state="running", owner__in=sessions))

    def hurt_all(self, kind: str, *, state: str = "running") -> None:
        """Note a fault that hits all attempts in `state`."""
        self.faults.note(kind, Attempt.objects.filter(state=state))

    def pause(self, low: float, high: float) -> None:
        """Let a random time pass, in which the workers stay busy."""
        until = time.monotonic() + self.dice.uniform(low, high)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, FEED_SECONDS))
            self._feed()

    def pause_only(self, low: float, high: float) -> None:
        """Let a random time pass, and hand in nothing meanwhile."""
        time.sleep(self.dice.uniform(low, high))

    def tell(self, text: str) -> None:
        """Write down how far it is, in the words of a scenario that counts otherwise."""
        (self.folder / PROGRESS).write_text(text)

    def _tell(self) -> None:
        """Write down how far it is, now and then."""
        now = time.monotonic()
        if now - self._told < TELL_SECONDS:
            return
        self._told = now
        done = ask(Task.objects.filter(state="done").count)
        (self.folder / PROGRESS).write_text(self.progress(done, now - self._began))

    def progress(self, done: int, seconds: float) -> str:
        """A line: faults, tasks done, and the seconds in which faults are still made."""
        faults = counted(len(self.faults.done), "fault")
        left = self.order.seconds - seconds
        still = f"{left:.0f} s left" if left > 0 else "waiting for the end of what is open"
        return f"{faults} of at least {self.order.faults}, {counted(done, 'task')} done, {still}"

    def _none_open(self) -> bool:
        self._tell()
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
        yield Stage(order, folder, servers, crew, witness, say)
    finally:
        crew.end()
        witness.end()
