"""Measuring: a plan, from being handed in to its last task done, in seconds and what it cost.

`ours` goes through the public services only, and checks by SQL that what it timed is what it
claims: each task accepted once, with its verdicts and its ledger entry, and no invariant broken.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection

from agentsys.kernel.errors import AgentsysError
from orchestration.bench import cpu, tasks
from orchestration.models import Goal
from orchestration.services.advance import advance
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit
from orchestration.services.running import serve
from orchestration.services.sessions import session_close

PROJECT = "bench"
_SENT = ([b"F", b"Query"], [b"F", b"Execute"])  # what libpq's trace has for a statement sent
POLL_SECONDS = 0.02  # more often, and looking would be part of what is measured


class BenchFailed(AgentsysError):
    """What was timed did not do what it should have done; its time means nothing."""

    code = "bench-failed"
    template = "{what}: {problem}"


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds in all, of that to hand in; seconds from the first task's start to the last one's
    end; CPU seconds of all processes; transactions and WAL bytes of the database."""

    tasks: int
    seconds: float
    submit_seconds: float
    span_seconds: float
    cpu_seconds: float
    commits: int
    wal_bytes: int

    @property
    def rate(self) -> float:
        return self.tasks / self.seconds

    @property
    def cpu_per_1000(self) -> float:
        return self.cpu_seconds / self.tasks * 1000


def ours(
    documents: Iterable[dict[str, Any]], *, processes: Iterable[int] = (), timeout: float = 300.0
) -> Timed:
    """Each document is a goal; all are handed in, one after the other, then waited for.

    `processes` are those, beside this one and the database's, whose CPU time counts.
    """
    watched = {os.getpid(), *processes, *cpu.servers()}
    documents = list(documents)
    base, used = _database(), cpu.spent(watched)
    began = time.monotonic()
    goals = [
        goal_submit(objective="", project=PROJECT, document=document, actor="bench").pk
        for document in documents
    ]
    submitted = time.monotonic() - began
    _until(lambda: _are_over(goals), began + timeout, f"goals {goals}")
    seconds = time.monotonic() - began
    used, after = cpu.spent(watched) - used, _database()
    counts = [audit(goal) for goal in goals]
    return Timed(
        tasks=sum(counts),
        seconds=seconds,
        submit_seconds=submitted,
        span_seconds=sum(_span(goal) for goal in goals),
        cpu_seconds=used,
        commits=after[0] - base[0],
        wal_bytes=after[1] - base[1],
    )


def statements(document: dict[str, Any]) -> float:
    """Statements a task, BEGIN and COMMIT among them, from the claim to the goal's end: served in
    this process, and counted on the wire to the database. No worker may be running."""
    goal_id = goal_submit(objective="", project=PROJECT, document=document, actor="bench").pk
    connection.ensure_connection()
    wire = connection.connection.pgconn
    try:
        with tempfile.TemporaryFile("w+b") as trace:
            wire.trace(trace.fileno())
            try:
                while serve():
                    pass
            finally:
                wire.untrace()
            trace.seek(0)
            sent = sum(line.split(b"\t")[1:4:2] in _SENT for line in trace)
        advance(goal_id)
    finally:
        session_close()
    return sent / audit(goal_id)


def _database() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),"
            " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
        )
        commits, wal = cursor.fetchone()
    return int(commits), int(wal)


def _are_over(goals: list[int]) -> bool:
    ended = Goal.objects.filter(pk__in=goals, finished_at__isnull=False)
    return ended.count() == len(goals)


def _span(goal_id: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at))"
            " FROM agentsys_orchestration_task WHERE goal_id = %s",
            [goal_id],
        )
        return float(cursor.fetchone()[0])


_AUDIT = """
SELECT count(*),
       count(*) FILTER (WHERE t.state = 'done'
         AND (SELECT count(*) FROM agentsys_orchestration_attempt a
              WHERE a.task_id = t.id AND a.state = 'accepted') = 1
         AND (SELECT count(*) FROM agentsys_orchestration_ledgerentry e
              WHERE e.goal_id = t.goal_id AND e.task_id = t.id AND e.event = 'task.accepted') = 1
         AND (SELECT count(*) FROM agentsys_verification_verdict v
              WHERE v.attempt_id = t.accepted_attempt_id AND v.state = 'done')
             = jsonb_array_length(t.definition->'verify'))
FROM agentsys_orchestration_task t WHERE t.goal_id = %s
"""


def audit(goal_id: int) -> int:
    """The number of tasks. BenchFailed unless each is done, accepted once, judged by all its
    verifiers and in the ledger once, and every invariant holds."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE agentsys_orchestration_ledgerentry")
        cursor.execute(_AUDIT, [goal_id])
        count, good = cursor.fetchone()
    if count != good:
        problem = f"{good} of {count} tasks are accepted once, fully judged and in the ledger"
        raise BenchFailed(what=f"goal-{goal_id}", problem=problem)
    for finding in fsck(goal_id):
        raise BenchFailed(what=f"goal-{goal_id}", problem=f"{finding.ref} {finding.problem}")
    return int(count)


def celery_noop(count: int, *, timeout: float = 300.0) -> float:
    """Tasks a second: `count` messages that do nothing."""
    began = time.monotonic()
    for number in range(count):
        tasks.noop.delay(number)
    _until(lambda: tasks.pending() == 0, began + timeout, "celery no-op")
    return count / (time.monotonic() - began)


def celery_chord(count: int, *, timeout: float = 300.0) -> float:
    """Tasks a second: `count` times `chain(execute, chord([verify x 3], decide))`."""
    tasks.server().delete(tasks.DECIDED)
    began = time.monotonic()
    for number in range(count):
        tasks.verified(number).apply_async()
    _counted(tasks.DECIDED, count, began + timeout, "celery chord")
    return count / (time.monotonic() - began)


def celery_fan(width: int, phases: int, *, timeout: float = 600.0) -> float:
    """Tasks a second: `phases` chords of `width`, each task verified by a chord of its own."""
    tasks.server().delete(tasks.JOINED)
    began = time.monotonic()
    tasks.phase(width, phases).apply_async()
    _counted(tasks.JOINED, phases, began + timeout, "celery fan-out")
    return width * phases / (time.monotonic() - began)


def celery_hop(count: int, *, timeout: float = 300.0) -> float:
    """Seconds a hop in a plain chain of `count`, from the first one's run to the last one's."""
    tasks.server().delete(tasks.HOPS)
    tasks.line(count).apply_async()
    _counted(tasks.HOPS, count, time.monotonic() + timeout, "celery chain", tasks.hops)
    return tasks.hop_span() / (count - 1)


def _counted(
    key: str,
    count: int,
    deadline: float,
    what: str,
    number: Callable[[], int] | None = None,
) -> None:
    seen = number or (lambda: int(tasks.server().get(key) or 0))
    _until(lambda: seen() >= count, deadline, what)


def _until(is_done: Callable[[], bool], deadline: float, what: str) -> None:
    while not is_done():
        if time.monotonic() > deadline:
            raise BenchFailed(what=what, problem="it did not finish in time")
        time.sleep(POLL_SECONDS)
