"""Workers that stop in the middle, are taken for dead, and come back; and one with a wrong clock."""

from __future__ import annotations

import time
from pathlib import Path

from agentsys.kernel.errors import BadInput
from orchestration.chaos.crew import Process
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.scenarios.databases import SHORT_LEASE
from orchestration.chaos.stage import Order, Stage

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
    "clock",
    "one of two workers has a clock that is two hours ahead (libfaketime)",
    full=Order(tasks=200, faults=1, seconds=60),
    quick=Order(tasks=30, faults=1, seconds=6),
)
def clock(stage: Stage) -> None:
    stage.workers(1)
    stage.hurt_all("clock +2 h")
    stage.workers(1, LD_PRELOAD=_faketime(), FAKETIME="+2h", FAKETIME_DONT_FAKE_MONOTONIC="1")
    stage.busy(2 * stage.crew.concurrency, steps=3, step_seconds=0.1)
    while not stage.enough:
        stage.pause(0.5, 0.5)
    stage.until_over()


def clock_missing() -> str:
    """Why the scenario cannot be played here, or nothing."""
    return "" if _found() else "libfaketime is not installed"


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
