"""More of everything than is needed, less beat than is wanted, and nothing at all for three days."""

from __future__ import annotations

import time
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, QuerySet

from orchestration.chaos import plans
from orchestration.chaos.app import BEAT_SECONDS
from orchestration.chaos.asking import ask
from orchestration.chaos.crew import wait_for
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage
from orchestration.models import ApprovalRequest, Attempt, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.goals import project_join

REST_SECONDS = 3.0  # a few sweeps; every connection that is to be open is open
PARKED = timedelta(days=3) - timedelta(minutes=5)  # a request is open for three days by default


@scenario(
    "two-of-everything",
    "three workers that sweep, three beats that ask for a sweep each second",
    full=Order(tasks=400, faults=6, seconds=90),
    quick=Order(tasks=40, faults=6, seconds=8),
)
def two_of_everything(stage: Stage) -> None:
    for _ in range(3):
        stage.crew.beat(**{BEAT_SECONDS: "1"})
        stage.hurt_all("one more beat")
    stage.workers(3)
    for _ in range(3):
        stage.hurt_all("one more sweeper")
    stage.busy(stage.crew.concurrency * 2, steps=2, step_seconds=0.02)
    while not stage.enough:
        stage.pause(0.5, 0.5)
    stage.until_over()


@scenario(
    "kill-beat",
    "kill -9 of beat, again and again; started again after a while",
    full=Order(tasks=200, faults=20, seconds=90),
    quick=Order(tasks=30, faults=2, seconds=8),
)
def kill_beat(stage: Stage) -> None:
    stage.workers(1)
    beat = stage.crew.beat(**{BEAT_SECONDS: "1"})
    stage.busy(stage.crew.concurrency, steps=2, step_seconds=0.1)
    while not stage.enough:
        stage.pause(*stage.every)
        stage.hurt_all("kill-beat")
        stage.crew.kill(beat)
        beat = stage.crew.beat(**{BEAT_SECONDS: "1"})
    stage.until_over()


@scenario(
    "parked",
    "goals wait for approval for three simulated days, then are approved",
    full=Order(tasks=20, faults=1, seconds=60),
    quick=Order(tasks=4, faults=1, seconds=10),
)
def parked(stage: Stage) -> None:
    workers = stage.workers(2)
    time.sleep(REST_SECONDS)
    idle = ask(_connections)
    goals = stage.order.tasks
    for number in range(goals):
        stage.submit(plans.lines(1, 1, steps=1, step_seconds=0.01, ask=True), key=f"goal {number}")
    if not wait_for(lambda: _open().count() == goals, seconds=60):
        stage.wrong.append(f"{_open().count()} of {goals} goals ask for approval")
    stage.hurt_all("three days")
    _let_pass(PARKED)
    time.sleep(REST_SECONDS)
    for worker in workers:
        stage.crew.kill(worker)
    stage.servers.redis_flush()
    workers = stage.workers(2)
    time.sleep(REST_SECONDS)
    _must_hold_nothing(stage, idle)
    person = _approver()
    for request in _open():
        approval_decide(request.pk, user=person, decision="approve")
    stage.until_over()
    if Task.objects.exclude(attempts_count__lte=2).exists():
        stage.wrong.append("a task was resumed more than once")


def _open() -> QuerySet[ApprovalRequest]:
    return ApprovalRequest.objects.filter(state="open")


def _let_pass(span: timedelta) -> None:
    """Three days, as the database sees them: what says when is that much older."""
    requests = _open()
    requests.update(due_at=F("due_at") - span, created_at=F("created_at") - span)


def _must_hold_nothing(stage: Stage, idle: int) -> None:
    """No slot (a running attempt), no message, no connection more than workers have that never
    had a goal."""
    running = Attempt.objects.filter(state="running").count()
    waiting = sum(stage.servers.redis_lengths().values())
    more = _connections() - idle
    stage.notes["slots, messages, connections held while parked"] = [running, waiting, max(0, more)]
    if running or waiting or more > 0:
        stage.wrong.append(
            f"parked goals hold {running} slots, {waiting} messages, {more} connections"
        )


def _connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def _approver() -> User:
    person = User.objects.create_user("chaos")
    project_join("chaos", user=person, role="approver")
    return person
