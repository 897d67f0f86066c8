"""Workers that are killed, at random moments and in the middle of anything."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import partial

from orchestration.chaos.asking import ask
from orchestration.chaos.crew import Process, children_of, session_of
from orchestration.chaos.report import spread
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage
from orchestration.models import Attempt, WorkerSession

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
    stage.busy(stage.crew.concurrency, steps=4, step_seconds=0.1)
    while not stage.enough:
        stage.crew.wait_up(*workers)
        stage.pause(0.1, 1.0)
        _replace(stage, workers)
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
    stage.busy(stage.crew.concurrency, steps=4, step_seconds=0.1)
    while not stage.enough:
        stage.crew.wait_up(*workers)
        stage.pause(0.1, 1.5)
        stage.hurt("kill-all", *workers)
        for worker in workers:
            stage.crew.kill(worker)
        workers = [stage.crew.worker()]
    stage.until_over()


@scenario(
    "kill-steps",
    "kill -9 of a whole worker while attempts of 20 scripted model calls are on their way",
    full=Order(tasks=80, faults=200, seconds=900),
    quick=Order(tasks=40, faults=4, seconds=15),
    env=PATIENT,
)
def kill_steps(stage: Stage) -> None:
    """Two workers, one after the other, each as soon as it is up: at times none is left."""
    workers = stage.workers(2)
    stage.busy(stage.crew.concurrency, steps=20, step_seconds=0.05)
    while not stage.enough:
        stage.crew.wait_up(workers[0])
        stage.pause(0.1, 1.5)
        _replace(stage, workers)
    stage.until_over()


def _replace(stage: Stage, workers: list[Process]) -> None:
    """Kill the oldest worker and start another."""
    victim = workers.pop(0)
    stage.hurt("kill-worker", victim)
    stage.crew.kill(victim)
    workers.append(stage.crew.worker())


@scenario(
    "kill-child",
    "kill -9 of a child of a prefork worker, which its parent replaces",
    full=Order(tasks=200, faults=50, seconds=180),
    quick=Order(tasks=30, faults=3, seconds=12),
    env=PATIENT,
)
def kill_child(stage: Stage) -> None:
    """A child has a session of its own; the main process lives on, and sweeps."""
    (worker,) = stage.workers(1, pool="prefork")
    stage.busy(2, steps=4, step_seconds=0.1)
    while not stage.enough:
        stage.pause(0.3, 2.0)
        victims = ask(partial(_busy_children, worker))
        if victims:
            session, pid = stage.dice.choice(victims)
            stage.faults.note("kill-child", Attempt.objects.filter(state="running", owner=session))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    stage.until_over()


def _busy_children(worker: Process) -> list[tuple[int, int]]:
    """Session and process id of each child that holds an attempt."""
    held = Attempt.objects.filter(state="running", owner__isnull=False).values("owner")
    rows = WorkerSession.objects.filter(pk__in=held, pid__in=children_of(worker))
    return sorted(rows.values_list("pk", "pid"))


@scenario(
    "sigterm",
    "SIGTERM in the middle of the work: no attempt is burnt; started again",
    full=Order(tasks=200, faults=50, seconds=300),
    quick=Order(tasks=30, faults=2, seconds=12),
)
def sigterm(stage: Stage) -> None:
    workers = stage.workers(2)
    stage.busy(stage.crew.concurrency, steps=6, step_seconds=0.2)
    seconds: list[float] = []
    sessions: list[int | None] = []
    while not stage.enough:
        stage.crew.wait_up(*workers)
        stage.pause(0.1, 1.5)
        victim = workers.pop(0)
        sessions.append(session_of(victim))
        stage.hurt("sigterm", victim)
        began = time.monotonic()
        victim.terminate()
        victim.wait(60)
        seconds.append(time.monotonic() - began)
        stage.crew.forget(victim)
        workers.append(stage.crew.worker())
    stage.until_over()
    stage.notes["seconds to end (p50, p95, max)"] = spread(seconds)
    burnt = Attempt.objects.filter(owner__in=sessions, state__in=("lost", "failed")).count()
    if burnt:
        stage.wrong.append(f"{burnt} attempts were burnt by {len(sessions)} SIGTERMs")
