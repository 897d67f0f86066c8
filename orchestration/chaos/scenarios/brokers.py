"""The broker is wiped, restarted empty, away, or says everything twice and forgets half of it."""

from __future__ import annotations

import time

import redis

from orchestration.chaos import app, plans
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import wait_for
from orchestration.chaos.report import spread
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage
from orchestration.models import Goal

DROP = 0.5


@scenario(
    "flush",
    "FLUSHALL of the broker while messages wait and chains are on their way",
    full=Order(tasks=1000, faults=10, seconds=300),
    quick=Order(tasks=60, faults=3, seconds=12),
)
def flush(stage: Stage) -> None:
    stage.workers(2)
    stage.busy(2 * stage.crew.concurrency, steps=3, step_seconds=0.1)
    while not stage.enough:
        stage.pause(*stage.every)
        stage.hurt_all("flushall", state="queued")
        stage.servers.redis_flush()
    stage.until_over()


@scenario(
    "redis-restart",
    "kill -9 of the broker, which comes back empty after up to 3 s",
    full=Order(tasks=500, faults=20, seconds=240),
    quick=Order(tasks=60, faults=2, seconds=14),
)
def redis_restart(stage: Stage) -> None:
    stage.workers(2)
    stage.busy(2 * stage.crew.concurrency, steps=3, step_seconds=0.1)
    while not stage.enough:
        stage.pause(*stage.every)
        stage.hurt_all("redis-restart", state="queued")
        stage.servers.redis_kill()
        time.sleep(stage.dice.uniform(0, 3))
        stage.servers.redis_start()
    stage.until_over()


@scenario(
    "redis-down",
    "no broker at all: goals are accepted all the same, and done once it is back",
    full=Order(tasks=200, faults=1, seconds=60),
    quick=Order(tasks=20, faults=1, seconds=6),
)
def redis_down(stage: Stage) -> None:
    stage.workers(2)
    stage.hurt_all("redis-down")
    stage.servers.redis_kill()
    began, took = time.monotonic(), []
    goals = max(2, stage.order.tasks // 4)
    try:
        for number in range(goals):
            asked = time.monotonic()
            stage.submit(plans.lines(2, 2, steps=1, step_seconds=0.01), key=f"goal {number}")
            took.append(time.monotonic() - asked)
            due = began + stage.order.seconds * (number + 1) / goals
            time.sleep(max(0.0, due - time.monotonic()))
    finally:
        stage.servers.redis_start()
    back = time.monotonic()
    stage.until_over()
    stage.notes["goals accepted without a broker"] = Goal.objects.count()
    stage.notes["seconds to accept (p50, p95, max)"] = spread(took)
    stage.notes["seconds to drain"] = round(time.monotonic() - back, 1)


@scenario(
    "doubled-and-dropped",
    "every message is sent twice and half of all copies are dropped",
    full=Order(tasks=400, faults=1, seconds=240),
    quick=Order(tasks=40, faults=1, seconds=6),
)
def doubled_and_dropped(stage: Stage) -> None:
    app.meddle(f"{DROP}:{stage.order.seed}")
    stage.workers(2, **{app.MESSAGES: f"{DROP}:{stage.order.seed}"})
    stage.hurt_all("doubled and dropped")
    stage.busy(2 * stage.crew.concurrency, steps=2, step_seconds=0.02)
    while not stage.enough:
        stage.pause(0.5, 0.5)
    stage.until_over()
    with redis.Redis.from_url(stage.servers.redis_url) as client:
        counts = [int(client.get(name) or 0) for name in (app.DROPPED, app.DELIVERED)]
    stage.notes["copies dropped, delivered"] = counts
    if not counts[0]:
        stage.wrong.append("no message was dropped: nothing was shown")
    stage.notes["goals"] = ask(Goal.objects.count)


@scenario(
    "deaf",
    "a worker's consumer consumes no more, though it is connected: it ends, and is started again",
    full=Order(tasks=200, faults=1, seconds=60),
    quick=Order(tasks=20, faults=1, seconds=6),
)
def deaf(stage: Stage) -> None:
    (worker,) = stage.workers(1, **{app.DEAF_AFTER: "2"})
    stage.busy(2 * stage.crew.concurrency, steps=3, step_seconds=0.1)
    stage.hurt_all("deaf")
    began = time.monotonic()
    if not wait_for(lambda: worker.poll() is not None, seconds=90):
        stage.wrong.append("a worker that hears nothing goes on as if it did")
    stage.notes["seconds until it ended"] = round(time.monotonic() - began, 1)
    stage.crew.forget(worker)
    stage.workers(1)
    stage.until_over()
