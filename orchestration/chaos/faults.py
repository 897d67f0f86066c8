"""What was done to the system and when, and how long it took until what it hit was done after all."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import QuerySet

from orchestration.chaos.asking import ask
from orchestration.models import Attempt


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its kind, the database's time, and the tasks that were in flight where it hit."""

    kind: str
    at: datetime
    tasks: tuple[int, ...] = ()


@dataclass(slots=True)
class Faults:
    """All faults of one scenario."""

    done: list[Fault] = field(default_factory=list)

    def note(self, kind: str, hit: QuerySet[Attempt] | None = None) -> None:
        """Right before the fault: which attempts does it hit?"""
        tasks = (
            () if hit is None else tuple(ask(lambda: list(hit.values_list("task_id", flat=True))))
        )
        self.done.append(Fault(kind, ask(database_now), tasks))

    def counts(self) -> dict[str, int]:
        return dict(Counter(fault.kind for fault in self.done))

    def recoveries(self) -> list[float]:
        """For each fault that hit something: seconds until the first of what it hit was accepted.

        What was accepted in the instant before the fault took hold is not a recovery."""
        rows = Attempt.objects.filter(state="accepted", finished_at__isnull=False)
        return self._until_first(rows, "finished_at")

    def restarts(self) -> list[float]:
        """The same until the first of what it hit was at work again."""
        return self._until_first(Attempt.objects.filter(started_at__isnull=False), "started_at")

    def _until_first(self, rows: QuerySet[Attempt], moment: str) -> list[float]:
        hit = {task for fault in self.done for task in fault.tasks}
        pairs = rows.filter(task_id__in=hit).values_list("task_id", moment)
        times: dict[int, list[datetime]] = defaultdict(list)
        for task, at in ask(lambda: list(pairs)):
            times[task].append(at)
        found = []
        for fault in self.done:
            after = [at for task in fault.tasks for at in times[task] if at > fault.at]
            if after:
                found.append((min(after) - fault.at).total_seconds())
        return found


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
