"""Requests and tokens per minute and calls at one time, for all processes on all hosts together.

Per minute: a moving window (`limits`) of exactly so many entries, kept in Redis and counted by its
clock. The other window that `limits` has is an estimate, which lets nearly twice the limit through
when the calls of a minute come at its end. A request is counted when it is let go, while the
provider counts it when it arrives: so the window is a little longer than the provider's. Tokens are
counted in thousandths of their limit, rounded up, to keep the window small.

At one time: leases in Redis that end by themselves when a process dies with a call under way.

While Redis is away each process keeps to its share: the limit divided by the processes that were
there when Redis last answered, or by `PROCESSES_ASSUMED`. It is never unlimited.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import NamedTuple

import redis
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from agentsys.gateway import leases
from agentsys.gateway.errors import RateLimited
from agentsys.gateway.presence import Presence
from agentsys.gateway.profiles import ModelProfile
from agentsys.gateway.shared import by_redis
from agentsys.gateway.windows import SharedWindow

MINUTE_SECONDS = 60  # the provider's window; shorter only where the limits themselves are proven
GUARD_SECONDS = 1  # by which our window is longer: what a call takes to arrive differs by less
TOKEN_UNITS = 1000
WAIT_SECONDS_MIN = 0.05
SLOT_WAIT_SECONDS = 1.0


@contextmanager
def admitted(profile: ModelProfile, tokens: int) -> Iterator[None]:
    """Within its limits for the time of one call of at most `tokens`; RateLimited with
    `retry_after_seconds` when it is not its turn."""
    lease = _slot(profile)
    try:
        _count(profile, tokens)
        yield
    finally:
        if lease is not None:
            leases.give_back(_name(profile), lease)


def _slot(profile: ModelProfile) -> str | None:
    if profile.concurrency is None:
        return None
    seconds = profile.timeout_seconds + 30.0
    lease = leases.take(_name(profile), profile.concurrency, seconds, _presence())
    if lease is None:
        wait = SLOT_WAIT_SECONDS * random.uniform(0.2, 1.0)  # noqa: S311 - no secret
        raise _not_yet(profile, f"{profile.concurrency} calls are under way", wait)
    return lease


def _count(profile: ModelProfile, tokens: int) -> None:
    wants = [
        _Want(kind, limit, cost)
        for kind, limit, cost in (
            ("tokens", profile.tokens_per_minute, tokens),
            ("requests", profile.requests_per_minute, 1),
        )
        if limit is not None
    ]
    # Looked at first where there are two: one is not to count what the other refuses.
    looks = [want._replace(counts=False) for want in wants] if len(wants) > 1 else []
    for want in [*looks, *wants]:
        wait = _seconds_to_wait(profile, want)
        if wait is not None:
            raise _not_yet(profile, f"{want.limit} {want.kind} a minute are reached", wait)


class _Want(NamedTuple):
    kind: str
    limit: int
    cost: int
    counts: bool = True  # or only looks


def _seconds_to_wait(profile: ModelProfile, want: _Want) -> float | None:
    """None when there is room, and it was counted."""

    def shared(ask: redis.Redis) -> float | None:
        return _room(_shared_window(ask), profile, want)

    def alone() -> float | None:
        return _room(_own_window(), profile, want._replace(limit=_presence().share(want.limit)))

    return by_redis(shared, alone)


def _room(window: MovingWindowRateLimiter, profile: ModelProfile, want: _Want) -> float | None:
    amount = max(want.limit * MINUTE_SECONDS // 60, 1)
    unit = max(amount // TOKEN_UNITS, 1) if want.kind == "tokens" else 1
    item = RateLimitItemPerSecond(amount // unit, MINUTE_SECONDS + GUARD_SECONDS, want.kind)
    # An estimate may be more than the limit itself: such a call waits for an empty window.
    parts = min(-(-want.cost // unit), item.amount)
    has_room = window.hit if want.counts else window.test
    if has_room(item, _name(profile), cost=parts):
        return None
    reset = window.get_window_stats(item, _name(profile)).reset_time
    return max(reset - _now(window), WAIT_SECONDS_MIN)


def _now(window: MovingWindowRateLimiter) -> float:
    storage = window.storage
    return storage.now() if isinstance(storage, SharedWindow) else time.time()


def _name(profile: ModelProfile) -> str:
    return f"{profile.source}/{profile.model}"


def _not_yet(profile: ModelProfile, reason: str, wait: float) -> RateLimited:
    return RateLimited(model=str(profile), reason=reason, retry_after_seconds=round(wait, 3))


def _shared_window(ask: redis.Redis) -> MovingWindowRateLimiter:
    _presence().show(ask)
    return _window_of(ask)


@lru_cache(8)
def _window_of(ask: redis.Redis) -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(SharedWindow(ask, _presence()))


@cache
def _own_window() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())


@cache
def _presence() -> Presence:
    return Presence()
