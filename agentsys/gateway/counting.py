"""How often something may be done within some minutes, by all processes together.

Counted by fixed windows in Redis. While Redis is away each process counts for itself, and nobody is
refused for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache, lru_cache

import redis
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from agentsys.gateway.shared import by_redis, key


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `most` times in `minutes` minutes. What another `name` counts is apart."""

    name: str
    most: int
    minutes: int = 1

    def take(self, who: str) -> bool:
        """Count one time more; False where there is no room."""
        return by_redis(lambda ask: self._shared(ask).hit(self._item, who), lambda: self._hit(who))

    def has_room(self, who: str) -> bool:
        return by_redis(
            lambda ask: self._shared(ask).test(self._item, who),
            lambda: _own(self.name).test(self._item, who),
        )

    def seconds_left(self, who: str) -> float:
        """Until there is room again, at least 1."""
        reset = by_redis(
            lambda ask: self._shared(ask).get_window_stats(self._item, who).reset_time,
            lambda: _own(self.name).get_window_stats(self._item, who).reset_time,
        )
        return max(1.0, reset - time.time())

    def forget(self, who: str) -> None:
        by_redis(
            lambda ask: self._shared(ask).clear(self._item, who),
            lambda: _own(self.name).clear(self._item, who),
        )

    @property
    def _item(self) -> RateLimitItemPerMinute:
        return RateLimitItemPerMinute(self.most, self.minutes)

    def _hit(self, who: str) -> bool:
        return _own(self.name).hit(self._item, who)

    def _shared(self, ask: redis.Redis) -> FixedWindowRateLimiter:
        return _by_redis(ask, key(self.name))


@lru_cache(32)
def _by_redis(ask: redis.Redis, prefix: str) -> FixedWindowRateLimiter:
    pool = ask.connection_pool
    return FixedWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix=prefix))


@cache
def _own(_name: str) -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(MemoryStorage())
