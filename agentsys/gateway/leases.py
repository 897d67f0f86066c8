"""At most so many at one time, in all processes: leases that end by themselves.

A lease is a member of a sorted set, scored by when it ends. Taking one removes those that ended, by
the clock of Redis, so that a process that died with a call under way holds nothing for long.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from typing import Any
from uuid import uuid4

import redis

from agentsys.gateway.presence import Presence
from agentsys.gateway.shared import by_redis, key

_TAKE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
_lock = threading.Lock()
_own: dict[str, dict[str, float]] = {}


def take(name: str, limit: int, seconds: float, presence: Presence) -> str | None:
    """A lease for `seconds`, or None when `limit` are held. By Redis; while it is away, of this
    process's share."""
    lease = uuid4().hex

    def shared(client: redis.Redis) -> bool:
        presence.show(client)
        arguments = [limit, int(seconds * 1000), lease]
        return bool(_script(client)([key("leases", name)], arguments))

    took = by_redis(shared, lambda: _take_own(name, presence.share(limit), seconds, lease))
    return lease if took else None


def give_back(name: str, lease: str) -> None:
    """It ends now; where Redis cannot be told, it ends by itself."""
    with _lock:
        if _own.get(name, {}).pop(lease, None) is not None:
            return
    by_redis(lambda client: client.zrem(key("leases", name), lease), lambda: 0)


def _take_own(name: str, limit: int, seconds: float, lease: str) -> bool:
    now = time.monotonic()
    with _lock:
        held = {k: ends for k, ends in _own.get(name, {}).items() if ends > now}
        free = len(held) < limit
        _own[name] = {**held, lease: now + seconds} if free else held
    return free


@lru_cache(8)
def _script(client: redis.Redis) -> Any:
    return client.register_script(_TAKE)
