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
from pathlib import Path
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


_LONGEST = """
SELECT EXTRACT(EPOCH FROM clock_timestamp() - query_start) * 1000, query FROM pg_stat_activity
WHERE state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()
ORDER BY 1 DESC LIMIT 1
"""


@dataclass(slots=True)
class Worst:
    """The most that was seen while the swarm ran."""

    megabytes: int = 0
    milliseconds: int = 0
    statement: str = ""

    def look(self, pids: list[int]) -> None:
        self.megabytes = max([self.megabytes, *map(_resident_mb, pids)])
        with connection.cursor() as cursor:
            cursor.execute(_LONGEST)
            took, text = cursor.fetchone() or (0, "")
        if took > self.milliseconds:
            self.milliseconds, self.statement = int(took), " ".join(str(text).split())[:160]


def _resident_mb(pid: int) -> int:
    """VmHWM of proc(5): the most so far; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM")), 0)


@dataclass(frozen=True, slots=True)
class Timed:
    """`seconds` from the first lease to the end of the swarm; `ideal` is items × call / at once.
    Statements are looked for every tenth of a second: shorter ones are not seen."""

    items: int
    call_seconds: float
    concurrency: int
    seconds: float
    ideal_seconds: float
    ratio: float | None  # None when a call takes no time
    kills: int
    run_again: int  # items that were under way in a killed worker
    accepted_once: int
    accepted_twice: int
    entries: int
    cpu_per_1000: float
    worker_mb: int  # resident, the most that one worker had
    statement_ms: int  # the longest that a statement was seen to take
    statement: str

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
    worst = Worst()
    while True:
        worst.look([p.pid for p in workers])
        goal.refresh_from_db()
        if goal.finished_at is not None:
            break
        if time.monotonic() > deadline:
            raise BenchFailed(what="swarm", problem=f"not at its end after {timeout:g} s")
        if (
            killed < kills
            and _done(task.pk) >= items * (killed + 1) / (kills + 1)
            and len(sessions_alive()) >= len(workers)
        ):
            victim = _busy(task.pk, workers)
            gone += cpu.spent({victim.pid})
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            workers[workers.index(victim)] = restart()
            killed += 1
        time.sleep(POLL_SECONDS)
    used = cpu.spent({os.getpid(), *(p.pid for p in workers), *cpu.servers()}) + gone - used
    return _audited(goal, task, concurrency, call_seconds, killed, used, worst)


def _done(task_id: int) -> int:
    return SwarmItem.objects.filter(task=task_id).exclude(state__in=("open", "leased")).count()


def _plan(items: int, concurrency: int, call_seconds: float) -> dict[str, Any]:
    return {
        "objective": "a swarm",
        "tasks": [
            {
                "key": "map", "agent": "swarm", "verify": ["schema"], "swarm": {
                    "over": [f"item {n}" for n in range(items)],
                    **({"micro": "wait", "with": {"seconds": call_seconds}} if call_seconds
                       else {"micro": "echo"}),
                    "concurrency": concurrency, "chunk": 100,
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
    goal: Goal,
    task: Task,
    concurrency: int,
    call_seconds: float,
    killed: int,
    used: float,
    worst: Worst,
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
        ratio=round(seconds / ideal, 3) if ideal else None,
        kills=killed,
        run_again=int(losses),
        accepted_once=once,
        accepted_twice=twice,
        entries=goal.ledger_seq,
        cpu_per_1000=round(used / items * 1000, 3),
        worker_mb=worst.megabytes,
        statement_ms=worst.milliseconds,
        statement=worst.statement,
    )
