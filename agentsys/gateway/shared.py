"""What processes share by Redis: one door, which says when Redis is away, once, and does without.

Whoever uses it gives two ways, one by Redis and one within this process. After a failure Redis is
left alone for a few seconds, so that its being away does not slow down every call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

AWAY_SECONDS = 5.0
ANSWER_SECONDS = 1.0

T = TypeVar("T")
log = structlog.get_logger(__name__)
_lock = threading.Lock()
_away_since: dict[str, float] = {}


def by_redis(do: Callable[[redis.Redis], T], otherwise: Callable[[], T]) -> T:
    """`do(client)`, or `otherwise()` when Redis cannot be asked."""
    url = settings.REDIS_URL
    since = _away_since.get(url)
    if not url or (since is not None and time.monotonic() - since < AWAY_SECONDS):
        return otherwise()
    try:
        value = do(client(url))
    except (redis.RedisError, OSError) as error:
        _gone(url, error)
        return otherwise()
    if since is not None:
        _back(url)
    return value


def key(*parts: str) -> str:
    """A key of the gateway, under this installation's prefix."""
    prefix = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("global_keyprefix", "")
    return ":".join([f"{prefix}gateway", *parts])


@lru_cache(8)
def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url.replace("redis+socket://", "unix://").replace("virtual_host=", "db="),
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),  # a connection that the server closed meanwhile
        decode_responses=True,
    )


def _gone(url: str, error: Exception) -> None:
    with _lock:
        first = url not in _away_since
        _away_since[url] = time.monotonic()
    if first:
        log.warning(
            "Redis is away: rate limits and breakers are kept by each process for itself",
            error=" ".join(str(error).split())[:200],
        )


def _back(url: str) -> None:
    with _lock:
        known = _away_since.pop(url, None)
    if known is not None:
        log.warning("Redis is back: rate limits and breakers are shared again")
