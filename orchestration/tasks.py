"""The Celery messages: doorbells that carry ids and a fence, and one service call each.

Names are stable: old messages must be understood by new code. A message that comes twice, late,
or for something that is over finds nothing to do. Nothing here raises: whatever goes wrong stays
in the rows, where the sweep finds it, and an error would only break a canvas.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery.signals import (
    worker_process_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from django.db import connections

from agentsys.celery import app
from agentsys.garbage import collect_seldom
from orchestration.hearing import Hearing
from orchestration.services import sessions
from orchestration.services.advance import advance
from orchestration.services.bus import deliver as bus_deliver
from orchestration.services.draining import drain
from orchestration.services.goals import goal_plan
from orchestration.services.outcomes import goals_scored
from orchestration.services.proposals import proposal_apply
from orchestration.services.reflection import goal_reflect
from orchestration.services.running import serve, task_serve
from orchestration.services.settle import attempt_settle
from orchestration.services.swarm_running import swarm_serve
from orchestration.services.swarm_sweep import swarms_join
from orchestration.services.sweep import Sweeper
from orchestration.services.sweep import sweep as sweep_once
from orchestration.services.verdicts import attempt_verify
from orchestration.services.wrapup import wrap_up as goal_wrap_up

log = structlog.get_logger(__name__)


def _edge(what: str, act: Callable[[], Any], **ids: Any) -> Any:
    """The edge of every message: log, leave the rows to the sweep, and let the canvas go on.

    Whoever does anything has a session first: by it, others see when its process is stopped.
    """
    try:
        sessions.session_current()
        return act()
    except Exception:  # see the module's docstring
        log.exception("message failed", message=what, **ids)
        connections.close_all()
        return None


@app.task(name="orchestration.work")
def work() -> int | None:
    """A bell: cheap tasks are ready somewhere."""
    return _edge("work", serve)


@app.task(name="orchestration.task_run")
def task_run(task_id: int, fence: int, follows: int | None = None) -> str | None:
    """One agent task; `follows` is the next link's task in a chain."""
    return _edge("task_run", lambda: task_serve(task_id, fence, coming=follows), task_id=task_id)


@app.task(name="orchestration.swarm")
def swarm(task_id: int) -> int | None:
    """A bell of a swarm: items of it can be leased, or what was answered can be concluded."""
    return _edge("swarm", lambda: swarm_serve(task_id), task_id=task_id)


@app.task(name="orchestration.integrate")
def integrate(goal_id: int) -> str | None:
    """The callback of chords of siblings: look at the goal."""
    return _edge("integrate", lambda: advance(goal_id), goal_id=goal_id)


@app.task(name="orchestration.wrap_up")
def wrap_up(goal_id: int) -> None:
    """The goal is over: its reports, its memories, its workspaces."""
    _edge("wrap_up", lambda: goal_wrap_up(goal_id), goal_id=goal_id)


@app.task(name="orchestration.verify")
def verify(attempt_id: int, verifier: str, voter: str = "") -> str | None:
    return _edge(
        "verify", lambda: attempt_verify(attempt_id, verifier, voter), attempt_id=attempt_id
    )


@app.task(name="orchestration.settle")
def settle(attempt_id: int) -> None:
    """The callback of verifier chords: decide on the attempt."""

    def act() -> None:
        from orchestration.models import Attempt

        after = attempt_settle(attempt_id)
        goal_id = Attempt.objects.values_list("goal_id", flat=True).get(pk=attempt_id)
        after.publish(goal_id)

    _edge("settle", act, attempt_id=attempt_id)


@app.task(name="orchestration.apply")
def apply(proposal_id: int) -> str | None:
    return _edge("apply", lambda: proposal_apply(proposal_id), proposal_id=proposal_id)


@app.task(name="orchestration.plan")
def plan(goal_id: int) -> str | None:
    return _edge("plan", lambda: goal_plan(goal_id), goal_id=goal_id)


@app.task(name="orchestration.reflect")
def reflect(goal_id: int) -> str | None:
    """A goal is over: is there a playbook in it and in those before it?"""
    return _edge("reflect", lambda: goal_reflect(goal_id), goal_id=goal_id)


@app.task(name="orchestration.deliver")
def deliver() -> int | None:
    """Subscribers are to be told something."""
    return _edge("deliver", bus_deliver)


@app.task(name="orchestration.score")
def score() -> list[str] | None:
    """How verifiers did, by what people said since; names of those that only advise from now on."""
    return _edge("score", goals_scored)


@app.task(name="orchestration.sweep")
def sweep() -> dict[str, int] | None:
    return _edge("sweep", sweep_once)


_sweeper: Sweeper | None = None
_hearing: Hearing | None = None


@worker_ready.connect
def _ready(**_: Any) -> None:
    """Sweep from the main process of every worker, and open its session so that it is seen."""
    global _sweeper, _hearing
    collect_seldom()
    _edge("session", sessions.session_current)
    _sweeper = Sweeper()
    _sweeper.start()
    _hearing = Hearing(app)
    _hearing.start()
    from orchestration.services import dispatch

    dispatch.ring(1)
    _edge("join", swarms_join)


@worker_shutting_down.connect
def _stopping(**_: Any) -> None:
    """SIGTERM: Celery waits for what runs; what takes too long is given back meanwhile."""
    if _hearing is not None:
        _hearing.stop()
    _edge("drain", lambda: drain(sessions.session_current()))


@worker_process_init.connect
def _forked(**_: Any) -> None:
    """A forked child must not use its parent's connections."""
    connections.close_all()


@worker_shutdown.connect
def _gone(**_: Any) -> None:
    if _sweeper is not None:
        _sweeper.stop()
    sessions.session_close()
