"""Workers that are killed, at random moments and in the middle of anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from orchestration.chaos.crew import Process
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage

# Tasks are hit again and again here; by default three lost workers are a quarantine.
PATIENT = {"AGENTSYS_LOST_MAX": "1000"}


@scenario(
    "kill-worker",
    "kill -9 of a whole worker at random moments, started again at once; two workers",
    full=Order(tasks=1000, faults=200, seconds=900),
    quick=Order(tasks=40, faults=4, seconds=15),
    env=PATIENT,
)
def kill_worker(stage: Stage) -> None:
    """Two workers, and only when both are up one of them dies: the other takes over."""
    workers = stage.workers(2)
    for victim in _victims(stage, workers, steps=4, step_seconds=0.1):
        stage.crew.wait_up(*workers)
        stage.pause(0.1, 1.0)
        _replace(stage, workers, victim)
    stage.until_over()


@scenario(
    "kill-all",
    "kill -9 of every worker at the same moment; one is started again",
    full=Order(tasks=200, faults=25, seconds=240),
    quick=Order(tasks=30, faults=2, seconds=15),
    env=PATIENT,
)
def kill_all(stage: Stage) -> None:
    workers = stage.workers(2)
    began = time.monotonic()
    while not stage.enough(began):
        stage.feed(stage.crew.concurrency, steps=4, step_seconds=0.1)
        stage.crew.wait_up()
        stage.pause(0.1, 1.5)
        stage.hurt("kill-all", *workers)
        for worker in workers:
            stage.crew.kill(worker)
        workers = [stage.crew.worker()]
    stage.until_over()


@scenario(
    "kill-steps",
    "kill -9 of a whole worker while attempts of 20 scripted model calls are on their way",
    full=Order(tasks=200, faults=200, seconds=900),
    quick=Order(tasks=40, faults=4, seconds=15),
    env=PATIENT,
)
def kill_steps(stage: Stage) -> None:
    """Two workers, one after the other, each as soon as it is up: at times none is left."""
    workers = stage.workers(2)
    for victim in _victims(stage, workers, steps=20, step_seconds=0.05):
        stage.crew.wait_up(victim)
        stage.pause(0.1, 1.5)
        _replace(stage, workers, victim)
    stage.until_over()


def _victims(stage: Stage, workers: list[Process], **shape: Any) -> Iterator[Process]:
    """The oldest worker, again and again, while there is enough to do."""
    began = time.monotonic()
    while not stage.enough(began):
        stage.feed(stage.crew.concurrency, **shape)
        yield workers[0]


def _replace(stage: Stage, workers: list[Process], victim: Process) -> None:
    stage.hurt("kill-worker", victim)
    stage.crew.kill(victim)
    workers.remove(victim)
    workers.append(stage.crew.worker())
