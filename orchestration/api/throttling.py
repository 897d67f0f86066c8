"""How many requests one caller may send: of a token, or of a person who is signed in.

Counted by windows of a minute in Redis, so that all web processes count together. While Redis is away each
counts for itself, and nobody is refused for it.
"""

from __future__ import annotations

import time
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import redis
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agentsys.gateway.shared import by_redis, key

if TYPE_CHECKING:  # its views read this class's path while they are made
    from rest_framework.views import APIView


class PerCaller(BaseThrottle):
    """At most `AGENTSYS_API_PER_MINUTE` requests a minute; Retry-After says when the next is taken."""

    _wait: float = 0.0

    def allow_request(self, request: Request, _view: APIView) -> bool:
        item = RateLimitItemPerMinute(settings.AGENTSYS.api_per_minute)
        caller = _caller(request)
        self._wait = by_redis(
            lambda ask: _seconds_to_wait(_shared(ask), item, caller),
            lambda: _seconds_to_wait(_own(), item, caller),
        )
        return not self._wait

    def wait(self) -> float:
        return self._wait


def _seconds_to_wait(
    window: FixedWindowRateLimiter, item: RateLimitItemPerMinute, caller: str
) -> float:
    """0 when there is room, and it was counted."""
    if window.hit(item, caller):
        return 0.0
    return max(1.0, window.get_window_stats(item, caller).reset_time - time.time())


def _caller(request: Request) -> str:
    """A token counts by itself, so that a script does not use up its owner's room in the console."""
    token = getattr(request.auth, "token_key", "")
    return f"token-{token}" if token else f"user-{request.user.pk}"


@lru_cache(8)
def _shared(ask: redis.Redis) -> FixedWindowRateLimiter:
    storage = RedisStorage("redis://", connection_pool=ask.connection_pool, key_prefix=key("api"))
    return FixedWindowRateLimiter(storage)


@cache
def _own() -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(MemoryStorage())
