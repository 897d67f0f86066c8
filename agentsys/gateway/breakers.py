"""A circuit breaker for each provider: after some outages it is not asked for a while.

closed → (several outages in a row) → open → (the pause is over) → half open: one call may try. Its
answer closes the breaker; its outage opens it again, for twice as long. Rate limits and refused
requests are answers. All processes share the state by Redis; while Redis is away each has its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import redis
from django.conf import settings

from agentsys.gateway.errors import ProviderOutage
from agentsys.gateway.shared import by_redis, key

PAUSE_SECONDS_MAX = 300.0
MEMORY_SECONDS = 600.0  # outages longer ago than this do not count
PROBE_SECONDS = 30.0  # how long one call may try before another may

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Breaker:
    """`state` is closed, open or half-open; `seconds_left` until the provider is tried again."""

    source: str
    state: str
    outages: int = 0
    seconds_left: float = 0.0

    @property
    def shown(self) -> str:
        if self.state == "open":
            return f"open: {self.outages} outages, tried again in {self.seconds_left:.0f} s"
        return self.state


class Store(Protocol):
    """Numbers and marks that end by themselves, by name."""

    def count(self, name: str) -> int: ...
    def add(self, name: str, seconds: float) -> int: ...
    def left(self, name: str) -> float: ...
    def mark(self, name: str, seconds: float) -> bool: ...
    def drop(self, *names: str) -> None: ...
    def names(self, ending: str) -> list[str]: ...


class RedisStore:
    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def count(self, name: str) -> int:
        return int(self._client.get(key("breaker", name)) or 0)

    def add(self, name: str, seconds: float) -> int:
        pipe = self._client.pipeline()
        pipe.incr(key("breaker", name))
        pipe.pexpire(key("breaker", name), int(seconds * 1000))
        return int(pipe.execute()[0])

    def left(self, name: str) -> float:
        return max(int(self._client.pttl(key("breaker", name))), 0) / 1000

    def mark(self, name: str, seconds: float) -> bool:
        """Whether it was not marked before."""
        milliseconds = max(int(seconds * 1000), 1)
        return bool(self._client.set(key("breaker", name), 1, px=milliseconds, nx=True))

    def drop(self, *names: str) -> None:
        self._client.delete(*(key("breaker", name) for name in names))

    def names(self, ending: str) -> list[str]:
        start = key("breaker", "")
        return [name[len(start) :] for name in self._client.scan_iter(f"{start}*{ending}", 500)]


class LocalStore:
    """The same within one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[int, float]] = {}

    def _live(self, name: str) -> tuple[int, float]:
        number, until = self._held.get(name, (0, 0.0))
        return (number, until) if until > time.monotonic() else (0, 0.0)

    def count(self, name: str) -> int:
        return self._live(name)[0]

    def add(self, name: str, seconds: float) -> int:
        with self._lock:
            number = self._live(name)[0] + 1
            self._held[name] = (number, time.monotonic() + seconds)
            return number

    def left(self, name: str) -> float:
        return max(self._live(name)[1] - time.monotonic(), 0.0)

    def mark(self, name: str, seconds: float) -> bool:
        with self._lock:
            if self._live(name)[0]:
                return False
            self._held[name] = (1, time.monotonic() + seconds)
            return True

    def drop(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self._held.pop(name, None)

    def names(self, ending: str) -> list[str]:
        return [n for n in list(self._held) if n.endswith(ending) and self._live(n)[0]]


_local = LocalStore()


def admit(source: str) -> None:
    """ProviderOutage, with how long to wait, unless the provider may be asked."""
    _in_either(lambda store: _admit(store, source))


def failed(source: str) -> None:
    """An outage was met."""
    _in_either(lambda store: _failed(store, source))


def answered(source: str) -> None:
    """The provider answered, whatever it said."""
    _in_either(lambda store: _answered(store, source))


def state_of(source: str) -> Breaker:
    return _in_either(lambda store: _state(store, source))


def breakers() -> list[Breaker]:
    """Of every provider that had outages lately, for people to see."""

    def found(store: Store) -> list[Breaker]:
        sources = [name.removesuffix(".outages") for name in store.names(".outages")]
        return [_state(store, source) for source in sorted(sources)]

    return _in_either(found)


def _in_either(do: Callable[[Store], T]) -> T:
    return by_redis(lambda client: do(RedisStore(client)), lambda: do(_local))


def _admit(store: Store, source: str) -> None:
    now = _state(store, source)
    left = now.seconds_left
    if now.state == "half-open":
        if store.mark(f"{source}.probe", PROBE_SECONDS):
            return
        left = store.left(f"{source}.probe")
    elif now.state == "closed":
        return
    raise ProviderOutage(
        model=source,
        reason=f"{now.outages} outages in a row; it is tried again in {left:.0f} s",
        retry_after_seconds=max(left, 0.1),
    )


def _failed(store: Store, source: str) -> None:
    outages = store.add(f"{source}.outages", MEMORY_SECONDS)
    if outages < settings.AGENTSYS.breaker_outages:
        return
    pause = settings.AGENTSYS.breaker_seconds * 2 ** min(store.count(f"{source}.pauses"), 10)
    # Calls that were under way when it opened fail after it: they lengthen nothing.
    if store.mark(f"{source}.open", min(pause, PAUSE_SECONDS_MAX)):
        store.add(f"{source}.pauses", MEMORY_SECONDS)
        store.drop(f"{source}.probe")


def _answered(store: Store, source: str) -> None:
    store.drop(*(f"{source}.{name}" for name in ("outages", "open", "pauses", "probe")))


def _state(store: Store, source: str) -> Breaker:
    outages = store.count(f"{source}.outages")
    if outages < settings.AGENTSYS.breaker_outages:
        return Breaker(source, "closed", outages)
    left = store.left(f"{source}.open")
    return Breaker(source, "open" if left else "half-open", outages, left)
