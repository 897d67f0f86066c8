"""Sending the doorbells. Nothing here is needed for correctness: rows are the outbox.

Every queued attempt, queued verdict, approved proposal and planning goal carries the time at
which it is to be published (again). Callers publish right after their commit; when that fails, or
the message is lost, doubled or late, the sweep publishes once more and a claim that finds nothing
to take does nothing. So a broker that is away or was wiped costs time only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from celery import chain, chord
from celery.canvas import Signature
from django.conf import settings
from django.db import connection, transaction

from agentsys.celery import app
from agentsys.kernel.crashpoints import crashpoint
from orchestration.domain.canvas import Canvas, Chain, Chord, Link, compile_canvases
from orchestration.services.hotpath import Unlocked
from orchestration.services.statements import NEXT_QUEUED

log = structlog.get_logger(__name__)

AWAY_SECONDS = 2.0
SWARM_BELLS = 4
PUBLISHED_NEXT = 20

_STRETCH = """
WITH RECURSIVE line AS (
    SELECT t.id, t.fence, 0 AS depth FROM agentsys_orchestration_task t WHERE t.id = %(head)s
    UNION ALL
    SELECT t.id, t.fence, line.depth + 1
    FROM line
    JOIN agentsys_orchestration_dependency d ON d.needs_id = line.id
    JOIN agentsys_orchestration_task t ON t.id = d.task_id
    WHERE line.depth < 19 AND t.state = 'blocked' AND t.unmet = 1 AND t.lane = 'agent'
      AND NOT t.expands AND NOT t.scoped
      AND (SELECT count(*) FROM agentsys_orchestration_dependency x
           WHERE x.needs_id = line.id) = 1
      AND (SELECT count(*) FROM agentsys_orchestration_dependency x WHERE x.task_id = t.id) = 1
)
SELECT id, fence FROM line WHERE depth > 0 ORDER BY depth
"""


def task_signature(link: Link, follows: int | None = None) -> Signature:
    """`follows` is the task that the same canvas brings next: settling need not publish it."""
    return app.signature(
        "orchestration.task_run", args=(link.task_id, link.fence, follows), immutable=True
    )


def canvas_signature(canvas: Canvas, goal_id: int) -> Signature:
    match canvas:
        case Chain(links=(only,)):
            return task_signature(only)
        case Chain(links=links):
            nexts = [*(link.task_id for link in links[1:]), None]
            return chain(
                *(task_signature(a, b) for a, b in zip(links, nexts, strict=True)), app=app
            )
        case Chord(links=links):
            callback = app.signature("orchestration.integrate", args=(goal_id,), immutable=True)
            return chord([task_signature(link) for link in links], callback, app=app)


def verify_signature(attempt_id: int, pairs: Sequence[tuple[str, str]]) -> Signature:
    """The verifiers of one attempt, and `settle` when all have spoken."""
    header = [
        app.signature("orchestration.verify", args=(attempt_id, name, voter), immutable=True)
        for name, voter in pairs
    ]
    settle = app.signature("orchestration.settle", args=(attempt_id,), immutable=True)
    return chord(header, settle, app=app)


def publish_unlocked(goal_id: int, unlocked: Unlocked, *, coming: int | None = None) -> None:
    """After a commit: bells for cheap tasks, canvases for agent tasks, `advance` for fan-outs.

    `coming` is a task whose message is already on its way as the next link of a chain.
    """
    if unlocked.expandable:
        send("orchestration.integrate", goal_id)
    if unlocked.cheap:
        ring(len(unlocked.cheap))
    links = [Link(*pair) for pair in unlocked.agents if pair[0] != coming]
    if links:
        publish_links(goal_id, links)


def publish_links(goal_id: int, links: Sequence[Link]) -> None:
    stretches = {links[0].task_id: stretch(links[0].task_id)} if len(links) == 1 else {}
    for canvas in compile_canvases(links, stretches):
        _quietly(canvas_signature(canvas, goal_id).apply_async)


def publish_next(goal_id: int, limit: int = PUBLISHED_NEXT) -> None:
    """Bells for what waits in a goal that has room again: its limit was raised, or a task ended."""
    with connection.cursor() as cursor:
        cursor.execute(NEXT_QUEUED, {"goal": goal_id, "limit": limit})
        rows = cursor.fetchall()
    if any(lane == "cheap" for _, _, lane in rows):
        send("orchestration.work")
    for task_id, fence, lane in rows:
        if lane == "agent":
            _quietly(task_signature(Link(task_id, fence)).apply_async)


def stretch(task_id: int) -> list[Link]:
    """The line of agent tasks that follows `task_id` with nothing else joining or leaving it."""
    with connection.cursor() as cursor:
        cursor.execute(_STRETCH, {"head": task_id})
        return [Link(*row) for row in cursor.fetchall()]


def publish_verifiers(attempt_id: int, pairs: Sequence[tuple[str, str]]) -> None:
    _quietly(verify_signature(attempt_id, pairs).apply_async)


def ring(ready: int) -> None:
    """A bell for each batch that is ready, few enough that idle workers do not drown in them."""
    batches = -(-ready // settings.AGENTSYS.batch_max)
    for _ in range(min(batches, 4)):
        send("orchestration.work")


def ring_swarm(task_id: int) -> None:
    """Bells for some workers; one that finds no room for more of the swarm's items leaves at once."""
    for _ in range(SWARM_BELLS):
        send("orchestration.swarm", task_id)


def send(name: str, *args: Any) -> None:
    _quietly(app.signature(name, args=args, immutable=True).apply_async)


_away_until = 0.0  # monotonic; while the broker is away, one caller in AWAY_SECONDS tries


def _quietly(publish: Callable[[], Any]) -> None:
    """Publish, inside somebody's transaction after its COMMIT: whoever comes must see the rows."""
    transaction.on_commit(partial(_published, publish))


def _published(publish: Callable[[], Any]) -> None:
    """A message that cannot be sent is not an error: the sweep sends it again.

    Finding out that the broker is away takes seconds, so for a while nobody else tries.
    """
    global _away_until
    if time.monotonic() < _away_until:
        return
    try:
        publish()
        crashpoint("C02")
    except Exception as error:  # the broker's edge: whatever it raises, the row stays due
        _away_until = time.monotonic() + AWAY_SECONDS
        log.info("not published; the sweep will", error=f"{type(error).__name__}: {error}")
