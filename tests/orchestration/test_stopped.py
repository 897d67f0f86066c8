"""A worker that is stopped in the middle keeps its connections, and the locks with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from orchestration.models import Attempt, Goal, WorkerSession
from orchestration.services.hotpath import claim
from orchestration.services.ledger import goal_locked
from orchestration.services.sessions import NAME, SWEEP_LOCK, session_close, sessions_cut
from orchestration.services.sweep import Sweeper, sweep
from tests.orchestration.pump import node, submit

pytestmark = pytest.mark.django_db(transaction=True)

STOPPED = """
import sys, threading

import django

django.setup()
from django.db import connection, transaction
from orchestration.services.ledger import goal_locked
from orchestration.services.sessions import SWEEP_LOCK, session_current

goal_id, locked = int(sys.argv[1]), threading.Event()


def queue():
    locked.wait()
    with goal_locked(goal_id):
        pass


print(session_current().id, flush=True)
for _ in range(3):
    threading.Thread(target=queue).start()
with transaction.atomic(), connection.cursor() as cursor:
    if "sweep" in sys.argv:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", SWEEP_LOCK)
    with goal_locked(goal_id):
        locked.set()
        sys.stdin.read(1)
"""

SWEEPER = """
import sys, threading

import django

django.setup()
from orchestration.services.sweep import Sweeper

sweeper = Sweeper()
sweeper.start()
print("up", flush=True)
sys.stdin.read(1)
sweeper.stop()
"""

SWEEPING = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid = %s AND l.granted
  AND a.datname = current_database() AND a.wait_event_type = 'Lock'
"""

UP_FOR = "SELECT clock_timestamp() - pg_postmaster_start_time() > make_interval(secs => %s)"

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = %s AND datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture(autouse=True)
def _up_for_a_lease() -> None:
    """After a restart of the server nobody counts as silent for as long: a test that is run by itself
    comes right after one."""
    lease = settings.AGENTSYS.lease_seconds
    wait_until(lambda: scalar(UP_FOR, lease), seconds=lease + 5)


@contextmanager
def process(code: str, *arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own on this database."""
    name = str(connection.get_connection_params()["dbname"])
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **env, "DATABASE_URL": database},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def line_of(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def stop(started: subprocess.Popen[str]) -> None:
    started.send_signal(signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{started.pid}/stat").read_text().split()[2] == "T")


@contextmanager
def stopped_worker(goal: Goal, *held: str) -> Iterator[int]:
    """The session of a process that holds the goal's lock, with three threads queued for it, and the
    sweep's if it is `held`, and was stopped."""
    with process(STOPPED, str(goal.pk), *held) as started:
        session = int(line_of(started))
        wait_until(lambda: scalar(WAITING, f"{NAME}{session}") == 3)
        stop(started)
        yield session


def silence(session: int) -> None:
    lease = timedelta(seconds=settings.AGENTSYS.lease_seconds)
    WorkerSession.objects.filter(pk=session).update(seen_at=timezone.now() - lease)


def scalar(sql: str, *values: str | float) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    return row and row[0]


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def test_a_worker_that_was_stopped_with_locks_costs_the_others_one_lease_not_one_per_thread() -> (
    None
):
    goal = submit(node("a"))
    with stopped_worker(goal, "sweep") as session:
        assert sweep() is None  # it was heard a moment ago, and holds the sweep's lock
        silence(session)
        assert sessions_cut() == {session}
        wait_until(lambda: sweep() is not None, seconds=5)
        began = time.monotonic()
        with goal_locked(goal.pk):
            pass
        assert time.monotonic() - began < 5
        assert scalar(WAITING, f"{NAME}{session}") == 0


def test_a_sweep_that_waits_for_a_stopped_worker_is_freed_by_the_thread_beside_it(
    settings: Any,
) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, sweep_seconds=0.1)
    goal = submit(node("a"))
    with goal_locked(goal.pk) as book:
        (taken,) = claim(book, owner=1, lease_seconds=30, lane="cheap")
    with stopped_worker(goal) as session:
        sweeper = Sweeper()
        sweeper.start()
        try:
            wait_until(lambda: scalar(SWEEPING, *SWEEP_LOCK) == 1)
            silence(session)
            wait_until(lambda: Attempt.objects.get(pk=taken.attempt_id).state == "lost", seconds=5)
        finally:
            sweeper.stop()
            session_close()


def test_a_sweeper_that_was_asleep_lets_the_others_be_heard_before_it_takes_them_for_dead() -> None:
    """A machine that was suspended: everybody's lease has run out."""
    goal = submit(node("a"))
    with process(SWEEPER, AGENTSYS_SWEEP_SECONDS="0.1", AGENTSYS_HEARTBEAT_SECONDS="1") as started:
        assert line_of(started) == "up"
        stop(started)
        with goal_locked(goal.pk) as book:
            (taken,) = claim(book, owner=1, lease_seconds=30, lane="cheap")
        time.sleep(2.5)
        started.send_signal(signal.SIGCONT)
        time.sleep(1.0)
        assert Attempt.objects.get(pk=taken.attempt_id).state == "running"
        wait_until(lambda: Attempt.objects.get(pk=taken.attempt_id).state == "lost", seconds=5)


def test_a_worker_that_claimed_a_moment_ago_is_heard() -> None:
    held, other = submit(node("a")), submit(node("b"))
    with stopped_worker(held) as session:
        silence(session)
        with goal_locked(other.pk) as book:
            (taken,) = claim(book, owner=session, lease_seconds=30, lane="cheap")
        assert session not in sessions_cut()
        Attempt.objects.filter(pk=taken.attempt_id).update(lease_until=timezone.now())
        assert sessions_cut() == {session}


def test_a_worker_that_is_heard_keeps_its_connections() -> None:
    goal = submit(node("a"))
    with stopped_worker(goal) as session:
        assert session not in sessions_cut()
        assert scalar(WAITING, f"{NAME}{session}") == 3
