"""A swarm under the clock: items whose call takes its time, and workers killed on the way.

Audited by SQL: each item has one row that is accepted, its acceptance stands in the ledger exactly
once, no shift is open, and no invariant is broken.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection

from orchestration.bench import cpu
from orchestration.bench.measure import PROJECT, BenchFailed
from orchestration.models import Goal, Swarm, SwarmItem, Task
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit
from orchestration.services.sessions import sessions_alive
from orchestration.services.swarm_views import swarms_progress

POLL_SECONDS = 0.1

# How often each item is named by the ledger as accepted.
_ACCEPTED = """
WITH said AS (
    SELECT g.id FROM agentsys_orchestration_ledgerentry e,
        jsonb_array_elements(e.payload->'accepted') r,
        LATERAL generate_series((r->>0)::bigint, (r->>1)::bigint) AS g(id)
    WHERE e.goal_id = %(goal)s AND e.event = 'swarm.inspected'
), counted AS (SELECT id, count(*) AS n FROM said GROUP BY id)
SELECT (SELECT count(*) FROM counted WHERE n = 1),
       (SELECT count(*) FROM counted WHERE n > 1),
       (SELECT count(*) FROM agentsys_orchestration_swarmitem
        WHERE task_id = %(task)s AND state = 'accepted' AND output = input),
       (SELECT count(*) FROM agentsys_orchestration_swarmitem WHERE task_id = %(task)s),
       (SELECT COALESCE(sum(losses), 0) FROM agentsys_orchestration_swarmitem
        WHERE task_id = %(task)s),
       (SELECT count(*) FROM agentsys_orchestration_swarmshift
        WHERE task_id = %(task)s AND ended_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """`seconds` from the first lease to the end of the swarm; `ideal` is items × call / at once."""

    items: int
    call_seconds: float
    concurrency: int
    seconds: float
    ideal_seconds: float
    ratio: float
    kills: int
    run_again: int  # items that were under way in a killed worker
    accepted_once: int
    accepted_twice: int
    entries: int
    cpu_per_1000: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def swarm(
    items: int,
    *,
    concurrency: int,
    call_seconds: float,
    kills: int,
    workers: list[subprocess.Popen[bytes]],
    restart: Callable[[], subprocess.Popen[bytes]],
    timeout: float,
) -> Timed:
    """Kill the worker with most items under way, `kills` times, at even distances, and start another
    in its place. The next is killed only when that is up: how long a process takes to start is no
    property of a swarm."""
    goal = goal_submit(
        objective="", document=_plan(items, concurrency, call_seconds), actor="bench",
        project=PROJECT,
    )  # fmt: skip
    task = Task.objects.get(goal=goal)
    deadline = time.monotonic() + timeout
    used = cpu.spent({os.getpid(), *(p.pid for p in workers), *cpu.servers()})
    gone = 0.0
    killed = 0
    while True:
        goal.refresh_from_db()
        if goal.finished_at is not None:
            break
        if time.monotonic() > deadline:
            raise BenchFailed(what="swarm", problem=f"not at its end after {timeout:g} s")
        done = SwarmItem.objects.filter(task=task).exclude(state__in=("open", "leased")).count()
        due = killed < kills and done >= items * (killed + 1) / (kills + 1)
        if due and len(sessions_alive()) >= len(workers):
            victim = _busy(task.pk, workers)
            gone += cpu.spent({victim.pid})
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            workers[workers.index(victim)] = restart()
            killed += 1
        time.sleep(POLL_SECONDS)
    used = cpu.spent({os.getpid(), *(p.pid for p in workers), *cpu.servers()}) + gone - used
    return _audited(goal, task, concurrency, call_seconds, killed, used)


def _plan(items: int, concurrency: int, call_seconds: float) -> dict[str, Any]:
    return {
        "objective": "a swarm",
        "tasks": [
            {
                "key": "map", "agent": "swarm", "verify": ["schema"], "swarm": {
                    "over": [f"item {n}" for n in range(items)], "micro": "wait",
                    "with": {"seconds": call_seconds}, "concurrency": concurrency, "chunk": 100,
                    "sample": min(100, items), "reduce": "count", "verify": ["schema"],
                },
            }
        ],
    }  # fmt: skip


def _busy(task_id: int, workers: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """The worker with most items under way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.pid FROM agentsys_orchestration_swarmitem i"
            " JOIN agentsys_orchestration_swarmshift w ON w.id = i.shift_id"
            " JOIN agentsys_orchestration_workersession s ON s.id = w.owner"
            " WHERE i.task_id = %s AND i.state = 'leased' AND w.ended_at IS NULL"
            " GROUP BY s.pid ORDER BY count(*) DESC",
            [task_id],
        )
        busy = [row[0] for row in cursor.fetchall()]
    by_pid = {worker.pid: worker for worker in workers}
    return next((by_pid[pid] for pid in busy if pid in by_pid), workers[0])


def _audited(
    goal: Goal, task: Task, concurrency: int, call_seconds: float, killed: int, used: float
) -> Timed:
    task.refresh_from_db()
    with connection.cursor() as cursor:
        cursor.execute(_ACCEPTED, {"goal": goal.pk, "task": task.pk})
        once, twice, right, items, losses, open_shifts = cursor.fetchone()
        cursor.execute(
            "SELECT EXTRACT(EPOCH FROM s.finished_at - min(w.started_at))::float8"
            " FROM agentsys_orchestration_swarm s JOIN agentsys_orchestration_swarmshift w"
            " ON w.task_id = s.task_id WHERE s.task_id = %s GROUP BY s.task_id",
            [task.pk],
        )
        (seconds,) = cursor.fetchone()
    findings = fsck(goal.pk, deep=True)
    seen = swarms_progress([task.pk])[task.pk]
    wrong = goal.state != "succeeded" or once != items or twice or right != items or open_shifts
    if wrong or findings or not Swarm.objects.filter(pk=task.pk, state="done").exists():
        raise BenchFailed(
            what="swarm",
            problem=f"{goal.state}: {seen}, {once} accepted once, {twice} twice; {findings[:3]}",
        )
    ideal = items * call_seconds / concurrency
    return Timed(
        items=items,
        call_seconds=call_seconds,
        concurrency=concurrency,
        seconds=round(seconds, 2),
        ideal_seconds=round(ideal, 2),
        ratio=round(seconds / ideal, 3),
        kills=killed,
        run_again=int(losses),
        accepted_once=once,
        accepted_twice=twice,
        entries=goal.ledger_seq,
        cpu_per_1000=round(used / items * 1000, 3),
    )
