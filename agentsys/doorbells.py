"""How many messages the broker holds, by queue. They are doorbells: none of them is work by itself."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from agentsys.celery import QUEUES

ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Doorbells:
    """Messages that nobody has taken, by queue, and those that were taken and not acknowledged.
    `problem` says why there are no numbers."""

    queues: tuple[tuple[str, int], ...] = ()
    unacknowledged: int = 0
    problem: str = ""


def doorbells() -> Doorbells:
    """Asked of the broker now; a broker that is away is an answer, not an error."""
    url = settings.CELERY_BROKER_URL
    if not url:
        return Doorbells(problem="REDIS_URL is not set")
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    timeouts = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    try:
        with Redis.from_url(_for_redis(url), **timeouts) as client:
            pipe = client.pipeline(transaction=False)
            for name in QUEUES:
                pipe.llen(f"{prefix}{name}")
            pipe.hlen(f"{prefix}unacked")
            *counts, unacknowledged = pipe.execute()
    except (RedisError, OSError, ValueError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        return Doorbells(problem=said)
    return Doorbells(tuple(zip(QUEUES, map(int, counts), strict=True)), int(unacknowledged))


def _for_redis(url: str) -> str:
    """kombu's form of a URL as redis-py's."""
    return url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
