"""Measuring: a number of tasks, from the first one handed in to the last one done, in seconds.

`ours` goes through the public services only, and checks by SQL that what it timed is what it
claims: each task done once, with its verdicts, and no invariant broken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from agentsys.kernel.errors import AgentsysError
from orchestration.bench import tasks
from orchestration.models import Goal
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit

PROJECT = "bench"
VERIFY = ["schema", "safety", "semantic"]  # as many as the peer's chord has
ACCEPTANCE = ["output.echo exists"]
POLL_SECONDS = 0.002


class BenchFailed(AgentsysError):
    """What was timed did not do what it should have done; its time means nothing."""

    code = "bench-failed"
    template = "{what}: {problem}"


def plan_document(count: int) -> dict[str, Any]:
    return {
        "objective": f"bench: {count} independent tasks",
        "tasks": [
            {
                "key": f"t{number}",
                "agent": "noop",
                "objective": "Do nothing",
                "verify": VERIFY,
                "acceptance": ACCEPTANCE,
            }
            for number in range(count)
        ],
    }


def ours(count: int, *, timeout: float = 300.0) -> dict[str, float]:
    """`count` durable, verified no-op tasks: seconds in all, and of that to hand the goal in."""
    document = plan_document(count)
    began = time.monotonic()
    goal = goal_submit(objective="", project=PROJECT, document=document, actor="bench")
    submitted = time.monotonic() - began
    _until(lambda: _is_over(goal.pk), began + timeout, f"goal-{goal.pk}")
    seconds = time.monotonic() - began
    audit(goal.pk, count)
    return {"seconds": seconds, "submit_seconds": submitted}


def _is_over(goal_id: int) -> bool:
    return Goal.objects.filter(pk=goal_id, finished_at__isnull=False).exists()


def audit(goal_id: int, count: int) -> None:
    """BenchFailed unless `count` tasks are done, each judged by all its verifiers, and all holds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE (SELECT count(*)"
            "  FROM agentsys_verification_verdict v"
            "  WHERE v.attempt_id = t.accepted_attempt_id AND v.state = 'done') = %s)"
            " FROM agentsys_orchestration_task t WHERE t.goal_id = %s AND t.state = 'done'",
            [len(VERIFY), goal_id],
        )
        done, judged = cursor.fetchone()
    if (done, judged) != (count, count):
        problem = f"{done} of {count} tasks are done, {judged} with {len(VERIFY)} verdicts"
        raise BenchFailed(what=f"goal-{goal_id}", problem=problem)
    for finding in fsck(goal_id):
        raise BenchFailed(what=f"goal-{goal_id}", problem=f"{finding.ref} {finding.problem}")


def celery_noop(count: int, *, timeout: float = 300.0) -> float:
    """`count` messages that do nothing."""
    began = time.monotonic()
    for number in range(count):
        tasks.noop.delay(number)
    _until(lambda: tasks.pending() == 0, began + timeout, "celery no-op")
    return time.monotonic() - began


def celery_chord(count: int, *, timeout: float = 300.0) -> float:
    """`count` times `chain(execute, chord([verify x 3], decide))`."""
    tasks.server().delete(tasks.DECIDED)
    began = time.monotonic()
    for number in range(count):
        tasks.verified(number).apply_async()
    _until(
        lambda: int(tasks.server().get(tasks.DECIDED) or 0) >= count,
        began + timeout,
        "celery chord",
    )
    return time.monotonic() - began


def _until(is_done: Callable[[], bool], deadline: float, what: str) -> None:
    while not is_done():
        if time.monotonic() > deadline:
            raise BenchFailed(what=what, problem="it did not finish in time")
        time.sleep(POLL_SECONDS)
