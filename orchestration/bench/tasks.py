"""The peer: bare Celery with Celery's own defaults, in an application of its own.

Its worker is started by the bench only (`celery -A orchestration.bench.tasks worker`); the
product's application knows nothing of these tasks, and neither sees the other's messages: they
differ in queue and in key prefix.
"""

from __future__ import annotations

import os
import time

import redis
from celery import Celery, chain, chord
from celery.canvas import Signature

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentsys.settings")
from django.conf import settings

PREFIX = "agentsys-bench:"
QUEUE = "bench"
DECIDED = f"{PREFIX}decided"
JOINED = f"{PREFIX}joined"
HOPS = f"{PREFIX}hops"
VERIFIERS = 3

app = Celery("agentsys-bench", set_as_current=False)
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    result_backend=settings.CELERY_RESULT_BACKEND,
    broker_transport_options={"global_keyprefix": PREFIX},
    result_backend_transport_options={"global_keyprefix": PREFIX},
    task_default_queue=QUEUE,
    result_expires=300,
    broker_connection_retry_on_startup=True,
)
_server: redis.Redis | None = None


def server() -> redis.Redis:
    """The broker's own server, to count what is done."""
    global _server
    if _server is None:
        _server = redis.Redis.from_url(settings.REDIS_URL)
    return _server


@app.task(name="bench.noop", ignore_result=True)
def noop(number: int) -> None:
    """The cheapest thing that Celery can do: neither durable nor verified."""


@app.task(name="bench.execute")
def execute(number: int) -> int:
    return number


@app.task(name="bench.verify")
def verify(number: int, verifier: int) -> bool:
    return verifier >= 0 <= number


@app.task(name="bench.decide", ignore_result=True)
def decide(verdicts: list[bool]) -> None:
    """The join of a chord; counted, so that the last one is seen."""
    if all(verdicts):
        server().incr(DECIDED)


@app.task(name="bench.settle")
def settle(verdicts: list[bool]) -> bool:
    """The join of a chord inside a chord: its result is what the outer one counts."""
    return all(verdicts)


@app.task(name="bench.join", ignore_result=True)
def join(results: list[bool], width: int, left: int) -> None:
    """The join of a wide chord; sends the next one."""
    server().incr(JOINED)
    if all(results) and left > 0:
        phase(width, left).apply_async()


@app.task(name="bench.hop", ignore_result=True)
def hop() -> None:
    server().rpush(HOPS, time.time())


def phase(width: int, phases: int) -> Signature:
    """`width` verified tasks at once, then the next of `phases`. Each join launches the next chord:
    declared at once, every message would carry all that follows."""
    header = [
        chain(
            execute.si(number),
            chord([verify.si(number, v) for v in range(VERIFIERS)], settle.s(), app=app),
            app=app,
        )
        for number in range(width)
    ]
    return chord(header, join.s(width, phases - 1), app=app)


def line(count: int) -> Signature:
    return chain(*(hop.si() for _ in range(count)), app=app)


def hops() -> int:
    return int(server().llen(HOPS))


def hop_span() -> float:
    """Seconds from the first hop's run to the last one's."""
    times = [float(moment) for moment in server().lrange(HOPS, 0, -1)]
    return max(times) - min(times)


def verified(number: int) -> Signature:
    """What people build for one verified task: execute, then verifiers at once, then decide."""
    header = [verify.si(number, verifier) for verifier in range(VERIFIERS)]
    return chain(execute.si(number), chord(header, decide.s(), app=app), app=app)


def pending() -> int:
    """Messages that no worker has taken and acknowledged yet."""
    found = server()
    return int(found.llen(f"{PREFIX}{QUEUE}")) + int(found.hlen(f"{PREFIX}unacked"))


def clear() -> None:
    """Remove everything that the peer left on the server."""
    found = server()
    keys = list(found.scan_iter(f"{PREFIX}*", count=1000))
    if keys:
        found.delete(*keys)
