"""Days of events against a budget, beside a store that forgets nothing, and what is measured of both.

Time is stepped: it is passed to whatever asks for it. Twice a day what is over budget is pruned; at
midnight digests are written, by processes of their own that are killed (kill -9) before the COMMIT of a
digest or after it, until one gets through. Idle questions are for the clock only: a fact that is asked
for daily would be kept for that.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from urllib.parse import quote, urlencode

from django.db import connection, transaction

from agentsys.conf import ROOT
from agentsys.kernel.errors import AgentsysError
from memory import services as memory
from memory.contracts import MemoryDraft
from memory.models import Memory
from memory.simulation.world import Event, Planted, World

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
BATCH = 500
UPKEEP_A_DAY = 2
ROOM = 0.84  # of the rows that may be live: what upkeep leaves, so that half a day fits on top
SETTLED_DAY = 5  # from which on the bounds hold
QUESTIONS = 200  # asked at the end
CLOCKED = 40  # searches each day for the clock
TRIES = 2  # of each, of which the faster counts: what else the machine does is not the search's
KEPT_MIN, JUNK_MAX, BYTES_OVER_MAX, SLOWER_MAX = 0.90, 0.05, 1.2, 1.2
Tell = Callable[[str], None]


class BoundsNotKept(AgentsysError):
    code = "bounds-not-kept"
    template = "the simulation ended with {problems}"


class ConsolidationFailed(AgentsysError):
    code = "consolidation-failed"
    template = "`memory consolidate` ended with {status}: {told}"


@dataclass(frozen=True, slots=True)
class Plan:
    days: int
    events: int
    seed: int
    rows_max: int
    bytes_max: int
    kills: int


@dataclass(frozen=True, slots=True)
class Day:
    """After a day: rows and bytes after upkeep, the most rows at any time, milliseconds of a search."""

    number: int
    live: int
    live_peak: int
    bytes: int
    p50_ms: float
    p95_ms: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Simulated:
    plan: Plan
    days: tuple[Day, ...]
    events: int
    rows: int
    digests: int
    kills: int
    recalled: float
    recalled_unbounded: float
    pins_kept: int
    pins: int
    junk: float
    slower: float
    lost: int
    twice: int
    seconds: float
    disk_bytes: int
    problems: tuple[str, ...] = field(default=())

    def figures(self) -> Iterator[tuple[str, Any]]:
        settled = [day for day in self.days if day.number >= SETTLED_DAY] or list(self.days)
        share = self.recalled / self.recalled_unbounded if self.recalled_unbounded else 0.0
        yield "events, of which rows", f"{self.events}, {self.rows}"
        yield "most live rows at any time", max(day.live_peak for day in settled)
        yield "most bytes after upkeep", max(day.bytes for day in settled)
        yield (
            "search p95, ms, first and last settled days",
            (f"{settled[0].p95_ms:.1f}, {settled[-1].p95_ms:.1f} (ratio {self.slower:.2f})"),
        )
        yield (
            "planted facts recalled, bounded and unbounded",
            (f"{self.recalled:.3f}, {self.recalled_unbounded:.3f} ({100 * share:.1f} %)"),
        )
        yield "pins kept", f"{self.pins_kept} of {self.pins}"
        yield "junk", f"{100 * self.junk:.2f} %"
        yield "digests", self.digests
        yield (
            "killed in mid-consolidation; rows lost, taken in twice",
            (f"{self.kills}; {self.lost}, {self.twice}"),
        )
        yield "bytes on disk of memory's tables", self.disk_bytes
        yield "minutes", f"{self.seconds / 60:.1f}"

    def markdown(self) -> str:
        plan = self.plan
        head = f"`memory simulate --days {plan.days} --events {plan.events} --seed {plan.seed}`"
        figures = "\n".join(f"| {name} | {value} |" for name, value in self.figures())
        by_day = "\n".join(
            f"| {d.number} | {d.live} | {d.live_peak} | {d.bytes} | {d.p50_ms:.1f} | {d.p95_ms:.1f} |"
            for d in self.days
        )
        return (
            f"{head}\n\n| figure | |\n|---|---|\n{figures}\n\n"
            f"| day | live | peak | bytes | p50 ms | p95 ms |\n|---|---|---|---|---|---|\n{by_day}\n"
        )


def simulate(plan: Plan, tell: Tell) -> Simulated:
    """Runs in the database at hand, in namespaces of its own that are empty again afterwards."""
    run = _Run(plan, tell)
    try:
        return run.all()
    finally:
        Memory.objects.filter(namespace__in=(run.bounded, run.unbounded)).delete()


class _Run:
    def __init__(self, plan: Plan, tell: Tell) -> None:
        self.plan, self.tell = plan, tell
        self.bounded, self.unbounded = (f"sim-{os.getpid()}-{name}" for name in ("bounded", "all"))
        self.world = World(plan.seed, START, plan.events)
        self.random = random.Random(plan.seed)  # noqa: S311 - a simulation is no secret
        self.questions = self.world.idle_questions(min(CLOCKED, max(plan.events // 50, 5)))
        self.ids: set[int] = set()
        self.pins: set[int] = set()
        self.planted: list[Planted] = []
        self.writers = {name: ThreadPoolExecutor(1) for name in (self.bounded, self.unbounded)}
        self.kills = 0
        self.peak = 0

    def all(self) -> Simulated:
        began = time.monotonic()
        try:
            days = tuple(self._day(number) for number in range(1, self.plan.days + 1))
        finally:
            for writer in self.writers.values():
                writer.submit(lambda: connection.close())  # its own thread's
                writer.shutdown()
        return self._measured(days, time.monotonic() - began)

    def _day(self, number: int) -> Day:
        began = time.monotonic()
        self.peak = 0
        batch: list[Event] = []
        part = max(self.plan.events // UPKEEP_A_DAY, 1)
        for n, event in enumerate(self.world.day(number - 1), start=1):
            batch.append(event)
            if len(batch) == BATCH or n % part == 0 or n == self.plan.events:
                self._write(batch)
                batch = []
            if n % part == 0 and n < self.plan.events:
                self._prune(
                    START + timedelta(days=number - 1, seconds=86_400 * n / self.plan.events)
                )
        midnight = START + timedelta(days=number, seconds=1)
        self._consolidate(number, midnight)
        self._prune(midnight)
        held = memory.usage(self.bounded)
        p50, p95 = self._clocked()
        day = Day(number, held.live, self.peak, held.bytes, p50, p95, time.monotonic() - began)
        self.tell(
            f"day {number}: {day.live} live (peak {day.live_peak}), {day.bytes / 1e6:.1f} MB,"
            f" p95 {p95:.1f} ms, {day.seconds:.0f} s"
        )
        return day

    def _write(self, events: list[Event]) -> None:
        drafts = [event.draft for event in events]
        work = [one.submit(_remembered, drafts, name) for name, one in self.writers.items()]
        ids, _ = (each.result() for each in work)
        if not self.ids:
            _analyse()
        for event, row_id in zip(events, ids, strict=True):
            if row_id:
                self.ids.add(row_id)
            if event.draft.pinned:
                self.pins.add(row_id)
            if event.planted:
                self.planted.append(event.planted)

    def _prune(self, now: datetime) -> None:
        self.peak = max(self.peak, memory.usage(self.bounded).live)
        memory.prune_all(
            self.bounded,
            rows_max=round(self.plan.rows_max * ROOM),
            bytes_max=self.plan.bytes_max,
            now=now,
        )

    def _consolidate(self, number: int, until: datetime) -> None:
        """In processes that are killed, as many as are this day's share; then in one that is not."""
        due = self.plan.kills * number // self.plan.days - self.kills
        for _ in range(due):
            point = self.random.choice(("C22", "C23"))
            status, told = self._process(until, f"{point}:kill:{self.random.randint(1, 6)}")
            if status == -9:
                self.kills += 1
            elif status:
                raise ConsolidationFailed(status=status, told=told)
        memory.consolidate(self.bounded, until=until)

    def _process(self, until: datetime, crash: str) -> tuple[int, str]:
        command = [sys.executable, "manage.py", "memory", "consolidate", "--namespace", self.bounded,
                   "--until", until.isoformat()]  # fmt: skip
        env = {**os.environ, "CRASH": crash, "DATABASE_URL": _database_url()}
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr[-500:]

    def _clocked(self) -> tuple[float, float]:
        _analyse()
        with transaction.atomic():  # undone: what is found for the clock must not count as used
            taken = sorted(self._milliseconds(question) for question in self.questions)
            transaction.set_rollback(True)
        return taken[len(taken) // 2], taken[int(len(taken) * 0.95)]

    def _milliseconds(self, question: str) -> float:
        tries = []
        for _ in range(TRIES):
            began = time.perf_counter()
            memory.recall(self.bounded, question, k=10)
            tries.append((time.perf_counter() - began) * 1000)
        return min(tries)

    def _measured(self, days: tuple[Day, ...], seconds: float) -> Simulated:
        settled = [day.p95_ms for day in days if day.number >= SETTLED_DAY] or [
            d.p95_ms for d in days
        ]
        third = max(len(settled) // 3, 1)
        asked = self.random.sample(self.planted, min(QUESTIONS, len(self.planted)))
        lost, twice = self._accounts()
        found = Simulated(
            plan=self.plan,
            days=days,
            events=self.plan.days * self.plan.events,
            rows=len(self.ids),
            digests=Memory.objects.filter(namespace=self.bounded, level__gt=0).count(),
            kills=self.kills,
            recalled=self._recalled(self.bounded, asked),
            recalled_unbounded=self._recalled(self.unbounded, asked),
            pins_kept=Memory.objects.filter(pk__in=self.pins, state="live").count(),
            pins=len(self.pins),
            junk=memory.audit(self.bounded).junk,
            slower=median(settled[-third:]) / median(settled[:third]),
            lost=lost,
            twice=twice,
            seconds=seconds,
            disk_bytes=_disk(),
        )
        return replace(found, problems=tuple(_problems(found)))

    def _recalled(self, namespace: str, asked: list[Planted]) -> float:
        hits = 0
        for number, one in enumerate(asked, start=1):
            texts = memory.recall(namespace, one.question, k=10, budget_tokens=10**6)
            hits += any(one.answer in hit.text for hit in texts)
            if number % 50 == 0:
                self.tell(f"asked {number} of {len(asked)} in {namespace}")
        return hits / len(asked) if asked else 0.0

    def _accounts(self) -> tuple[int, int]:
        """Rows that happened on a day that is over and that no digest has taken in, or more than one."""
        rows = Memory.objects.filter(namespace=self.bounded)
        parts = sum(rows.filter(level=1).values_list("provenance__parts", flat=True))
        quoted: dict[str, int] = {}
        for told in rows.filter(level=1).values_list("provenance__quotes", flat=True):
            for number in told or ():
                quoted[number] = quoted.get(number, 0) + 1
        periods = list(
            rows.filter(level__gt=0)
            .exclude(state="gone")
            .values_list("level", "provenance__period")
        )
        twice = max(parts - len(self.ids), 0) + sum(n > 1 for n in quoted.values())
        return max(len(self.ids) - parts, 0), twice + len(periods) - len(set(periods))


def _problems(found: Simulated) -> Iterator[str]:
    plan = found.plan
    for day in found.days:
        if day.number >= SETTLED_DAY and day.live_peak > plan.rows_max:
            yield f"day {day.number} had {day.live_peak} live rows, at most {plan.rows_max} were expected"
        if day.number >= SETTLED_DAY and day.bytes > BYTES_OVER_MAX * plan.bytes_max:
            yield f"day {day.number} had {day.bytes} bytes, over 1.2 times {plan.bytes_max}"
    if found.recalled < KEPT_MIN * found.recalled_unbounded:
        told = f"{found.recalled:.3f} of the planted facts are recalled"
        yield f"{told}, unbounded {found.recalled_unbounded:.3f}"
    if found.pins_kept < found.pins:
        yield f"{found.pins - found.pins_kept} of {found.pins} pinned memories are not live"
    if found.junk >= JUNK_MAX:
        yield f"{100 * found.junk:.1f} % of the live rows are junk, under 5 % were expected"
    if found.lost or found.twice:
        yield f"{found.lost} rows are in no digest, {found.twice} in more than one"
    if found.kills < plan.kills:
        yield f"{found.kills} processes were killed, {plan.kills} were to be"
    if plan.days >= 3 * SETTLED_DAY and found.slower > SLOWER_MAX:
        yield f"search p95 at the end is {found.slower:.2f} times that at the beginning"


def _remembered(drafts: Sequence[MemoryDraft], namespace: str) -> list[int]:
    return memory.remember_many([replace(draft, namespace=namespace) for draft in drafts])


def _analyse() -> None:
    """As autovacuum does within a minute, which is hours of this clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE agentsys_memory_memory, agentsys_memory_chunk, agentsys_memory_fact,"
            " agentsys_memory_link"
        )


def _disk() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relname LIKE 'agentsys\\_memory\\_%'"
        )
        return int(cursor.fetchone()[0])


def _database_url() -> str:
    """The database at hand, whichever it is, for another process."""
    here = connection.settings_dict
    login = quote(here["USER"]) + (f":{quote(here['PASSWORD'])}" if here["PASSWORD"] else "")
    query = urlencode({k: v for k, v in (("host", here["HOST"]), ("port", here["PORT"])) if v})
    return f"postgresql://{login}@/{quote(here['NAME'])}?{query}"
