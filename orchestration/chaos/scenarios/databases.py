"""PostgreSQL restarts, crashes, answers late, or is cut off right after it was told to commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import connection

from orchestration.chaos.proxy import Proxy
from orchestration.chaos.scenarios.base import scenario
from orchestration.chaos.stage import Order, Stage

SHORT_LEASE = {"AGENTSYS_LEASE_SECONDS": "4", "AGENTSYS_HEARTBEAT_SECONDS": "0.7",
               "AGENTSYS_LOST_MAX": "1000"}  # fmt: skip


@scenario(
    "postgres-restart",
    "PostgreSQL restarts every 5 to 40 s, fast or like a crash, away for up to 2 s",
    full=Order(tasks=1000, faults=1000, seconds=600),
    quick=Order(tasks=60, faults=2, seconds=16),
    env={"AGENTSYS_LOST_MAX": "1000"},
)
def postgres_restart(stage: Stage) -> None:
    stage.workers(2)
    stage.busy(stage.crew.concurrency, steps=4, step_seconds=0.1)
    while not stage.enough:
        stage.pause(5, min(40.0, stage.order.seconds / 2))
        how = stage.dice.choice(("fast", "immediate"))
        stage.hurt_all(f"postgres-{how}")
        stage.servers.postgres_stop(how)
        time.sleep(stage.dice.uniform(0, 2))
        stage.servers.postgres_start()
    stage.until_over()


@scenario(
    "cut-commits",
    "connections cut after COMMIT reached PostgreSQL and before its answer reached the worker",
    full=Order(tasks=400, faults=200, seconds=300),
    quick=Order(tasks=40, faults=10, seconds=12),
    env={"AGENTSYS_LOST_MAX": "1000"},
)
def cut_commits(stage: Stage) -> None:
    with _proxy(stage) as proxy:
        stage.workers(2, DATABASE_URL=_through(proxy))
        stage.busy(6 * stage.crew.concurrency, steps=3, step_seconds=0.03)
        while not stage.enough:
            stage.pause(0.05, 0.6)
            before = proxy.cuts
            stage.hurt_all("cut-commit")
            proxy.cut(1)
            if not _cut_comes(proxy, before):
                stage.faults.done.pop()
        stage.until_over()
        stage.notes["COMMITs cut"] = proxy.cuts


@scenario(
    "partition",
    "the way to PostgreSQL is late by 0.3 s, swallows everything, or only what it answers",
    full=Order(tasks=200, faults=30, seconds=300),
    quick=Order(tasks=30, faults=2, seconds=16),
    env=SHORT_LEASE,
)
def partition(stage: Stage) -> None:
    """One worker behind the proxy, one not: the other takes over what the first cannot finish."""
    with _proxy(stage) as proxy:
        stage.workers(1)
        (cut_off,) = stage.workers(1, DATABASE_URL=_through(proxy))
        stage.busy(stage.crew.concurrency, steps=4, step_seconds=0.1)
        while not stage.enough:
            stage.pause(1, 3)
            kind = stage.dice.choice(("delay", "hole", "deaf"))
            stage.hurt(f"partition-{kind}", cut_off)
            setattr(proxy, kind, 0.3 if kind == "delay" else True)
            stage.pause(5, 7)
            setattr(proxy, kind, 0.0 if kind == "delay" else False)
            proxy.reset()
        stage.until_over()


@contextmanager
def _proxy(stage: Stage) -> Iterator[Proxy]:
    """Its folder is at a short path: that of a socket has at most 107 bytes."""
    with TemporaryDirectory(prefix="chaos-") as folder:
        proxy = Proxy(Path(folder), stage.servers.socket()).start()
        try:
            yield proxy
        finally:
            stage.crew.end()
            proxy.stop()


def _through(proxy: Proxy) -> str:
    return proxy.url(connection.settings_dict["NAME"])


def _cut_comes(proxy: Proxy, before: int) -> bool:
    """Wait for the COMMIT that is cut."""
    deadline = time.monotonic() + 5
    while proxy.cuts == before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
