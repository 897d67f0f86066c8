"""Workers that are killed, at random moments and in the middle of anything."""

from __future__ import annotations

from orchestration.chaos.crew import Process
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage

# Tasks are hit again and again here; by default three lost workers are a quarantine.
PATIENT = {"AGENTSYS_LOST_MAX": "1000"}


@scenario(
    "kill-worker",
    "kill -9 of a whole worker at random moments, started again at once; two workers",
    full=Order(tasks=1000, faults=200, seconds=900),
    quick=Order(tasks=60, faults=4, seconds=12),
    env=PATIENT,
)
def kill_worker(stage: Stage) -> None:
    workers = stage.workers(2)
    stage.submit(workers=2)
    _kill_and_restart(stage, workers)
    stage.until_over()


@scenario(
    "kill-steps",
    "kill -9 of a whole worker while attempts of 20 scripted model calls are on their way",
    full=Order(tasks=200, faults=200, seconds=900),
    quick=Order(tasks=16, faults=4, seconds=12),
    env=PATIENT,
)
def kill_steps(stage: Stage) -> None:
    workers = stage.workers(2)
    stage.submit(workers=2, steps=20)
    _kill_and_restart(stage, workers)
    stage.until_over()


def _kill_and_restart(stage: Stage, workers: list[Process]) -> None:
    """One after the other, each only when it is up, until the ordered number or all is over."""
    for number in range(stage.order.faults):
        victim = workers[number % len(workers)]
        stage.crew.wait_up(victim)
        stage.pause(0.1, 2.0)
        if stage.is_over:
            break
        stage.hurt("kill-worker", victim)
        stage.crew.kill(victim)
        workers[number % len(workers)] = stage.crew.worker()
