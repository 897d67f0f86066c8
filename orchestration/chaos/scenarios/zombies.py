"""Workers that stop in the middle, are taken for dead, and come back; and one with a wrong clock."""

from __future__ import annotations

import time
from pathlib import Path

from django.db import connection

from agentsys.kernel.errors import BadInput
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import Process
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.scenarios.databases import SHORT_LEASE
from orchestration.chaos.stage import Order, Stage
from orchestration.models import Task
from orchestration.services.sessions import SWEEP_LOCK

ASLEEP_SECONDS = 12.0  # three leases
FAKETIME = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")


@scenario(
    "zombie",
    "SIGSTOP of a worker for longer than its lease (here 4 s), then SIGCONT; three workers",
    full=Order(tasks=400, faults=100, seconds=600),
    quick=Order(tasks=30, faults=2, seconds=16),
    env=SHORT_LEASE,
    concurrency=3,
)
def zombie(stage: Stage) -> None:
    """Up to two of three are frozen at a time."""
    awake = stage.workers(3)
    frozen: list[tuple[float, Process]] = []
    stage.busy(stage.crew.concurrency + 1, steps=5, step_seconds=0.15)
    while not stage.enough:
        stage.pause(0.5, 2.5)
        _thaw(stage, frozen, awake)
        if len(awake) > 1:
            victim = awake.pop(stage.dice.randrange(len(awake)))
            stage.hurt("zombie", victim)
            stage.crew.freeze(victim)
            frozen.append((time.monotonic() + stage.dice.uniform(4.5, 7), victim))
    while frozen:
        stage.pause(0.2, 0.2)
        _thaw(stage, frozen, awake)
    stage.until_over()


def _thaw(stage: Stage, frozen: list[tuple[float, Process]], awake: list[Process]) -> None:
    for due, process in list(frozen):
        if due <= time.monotonic():
            stage.crew.thaw(process)
            frozen.remove((due, process))
            awake.append(process)


@scenario(
    "zombie-locks",
    "SIGSTOP of a worker right while it holds a goal's lock in PostgreSQL, or the sweep's",
    full=Order(tasks=200, faults=20, seconds=400),
    quick=Order(tasks=20, faults=1, seconds=20),
    env=SHORT_LEASE,
)
def zombie_locks(stage: Stage) -> None:
    """Two workers; nobody may have to wait for the frozen one for as long as it likes to sleep."""
    workers = stage.workers(2)
    stage.busy(stage.crew.concurrency, steps=2, step_seconds=0.01)
    while not stage.enough:
        stage.pause(0.01, 0.3)
        victim = stage.dice.choice(workers)
        stage.crew.freeze(victim)
        held = ask(_held_by_sleepers)
        if held:
            stage.hurt(f"frozen with {held}", victim)
            before = ask(Task.objects.filter(state="done").count)
            time.sleep(ASLEEP_SECONDS)
            if ask(Task.objects.filter(state="done").count) == before:
                stage.wrong.append(f"nothing was done for {ASLEEP_SECONDS:.0f} s: {held} was held")
        stage.crew.thaw(victim)
    stage.until_over()


def _held_by_sleepers() -> str:
    """What a process that does not go on holds now: looked at twice, the same both times."""
    first = _held()
    time.sleep(0.15)
    return ", ".join(sorted({what for pid, what in first & _held()}))


def _held() -> set[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, 'a transaction' FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
            " UNION SELECT pid, 'the sweep' FROM pg_locks"
            " WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            SWEEP_LOCK,
        )
        return {(row[0], row[1]) for row in cursor.fetchall()}


def _clock_missing() -> str:
    return "" if _found() else "libfaketime is not installed"


@scenario(
    "clock",
    "one of two workers has a clock that is two hours ahead (libfaketime)",
    full=Order(tasks=200, faults=1, seconds=60),
    quick=Order(tasks=30, faults=1, seconds=6),
    missing=_clock_missing,
)
def clock(stage: Stage) -> None:
    stage.workers(1)
    stage.hurt_all("clock +2 h")
    stage.workers(1, LD_PRELOAD=_faketime(), FAKETIME="+2h", FAKETIME_DONT_FAKE_MONOTONIC="1")
    stage.busy(2 * stage.crew.concurrency, steps=3, step_seconds=0.1)
    while not stage.enough:
        stage.pause(0.5, 0.5)
    stage.until_over()


def _faketime() -> str:
    found = _found()
    if not found:
        raise BadInput(what="clock", problems=["libfaketime is not installed"])
    return found


def _found() -> str:
    for pattern in FAKETIME:
        for path in Path("/").glob(pattern.lstrip("/")):
            return str(path)
    return ""
