"""Worker processes of a test: started on its own database, broker and home, ended by their ids."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import redis
from django.conf import settings
from django.db import connection

from agentsys.processes import end, start, worker_argv
from orchestration.models import Goal

ENDED = ("succeeded", "failed", "cancelled")


class Workers:
    """Starts and kills workers; each has the environment that this test's own processes need."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, concurrency: int = 4) -> subprocess.Popen[bytes]:
        name = f"w{len(self.processes)}-{os.getpid()}@test"
        process = start(
            worker_argv(concurrency=concurrency, name=name),
            self.home / f"worker-{len(self.processes)}.log",
            env={**database_env(), "AGENTSYS_HOME": str(self.home), "AGENTSYS_BACKOFF_SECONDS": "0.2",
                 "AGENTSYS_DRAIN_SECONDS": "1"},
        )  # fmt: skip
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)

    def end(self) -> None:
        for process in self.processes:
            end(process)

    def said(self) -> str:
        return "\n".join(p.read_text()[-3000:] for p in sorted(self.home.glob("worker-*.log")))


def database_env() -> dict[str, str]:
    """The test's own database, as a process of its own must be told."""
    given = connection.settings_dict
    query = {"host": given["HOST"], "user": given["USER"], "password": given["PASSWORD"]}
    query |= {"port": str(given["PORT"] or "")}
    words = urlencode({key: value for key, value in query.items() if value})
    return {"DATABASE_URL": f"postgresql:///{given['NAME']}?{words}", "TESTING": "1"}


def wait_for(
    what: Callable[[], bool], *, seconds: float = 40.0, why: Callable[[], str] = lambda: ""
) -> None:
    """Look until `what` holds; at the deadline fail with what is known."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come to pass in {seconds:.0f} s. {why()}")
        time.sleep(0.05)


def ended(goal: Goal, workers: Workers, *, seconds: float = 40.0) -> Goal:
    """The goal when it has come to its end."""

    def over() -> bool:
        goal.refresh_from_db()
        return goal.state in ENDED

    def told() -> str:
        counts = list(goal.tasks.values_list("key", "state", "reason").exclude(state="done")[:10])
        return f"goal is {goal.state}; {counts}; {workers.said()}"

    wait_for(over, seconds=seconds, why=told)
    return goal


def wipe_broker() -> None:
    """FLUSHALL, within the two database numbers that are this test's own."""
    with redis.Redis.from_url(settings.REDIS_URL, single_connection_client=True) as client:
        first = client.connection_pool.connection_kwargs.get("db") or 0
        for number in (first, first + 1):
            client.execute_command("SELECT", number)
            client.flushdb()
