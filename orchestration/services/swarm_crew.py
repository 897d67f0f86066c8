"""Hundreds of items at once in one process: an event loop, and threads for what cannot be awaited.

Nothing here knows of rows. `start` hands items in, `collect` waits for results; what an item raises
becomes a result, too. When the crew is left, what is still under way is not waited for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from django.db import connections

from agentsys.gateway import ProviderOutage, RateLimited, Refused
from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.hashing import fault, plain
from orchestration.services.swarms import Leased, Settled
from workers.micro import Answer, Item, ItemRefused, MicroAgent
from workers.micro.base import answer_of, used_before

LINGER_SECONDS = 0.02  # results that come at about the same time are settled together
BACKOFF_SECONDS = 0.2  # after a try that raised; doubles
AWAY_SECONDS = 5.0  # a provider that is away, or full, is asked again after this
OUTPUT_BYTES_MAX = 64_000  # of one item


class MicroAgentCrashed(AgentsysError):
    """A micro-agent raised what is not to be caught, such as SystemExit."""

    code = "micro-agent-crashed"
    template = "it crashed with {reason}"


class Crew:
    """`busy` counts what is under way."""

    def __init__(
        self, micro: MicroAgent, chosen: Mapping[str, Any], *, slots: int, seconds_max: float
    ) -> None:
        self._micro = micro
        self._chosen = chosen
        self._seconds = seconds_max
        self._loop = asyncio.new_event_loop()
        self._pool = None if micro.awaited else ThreadPoolExecutor(slots, "agentsys-swarm")
        self._thread = threading.Thread(target=self._live, name="agentsys-crew", daemon=True)
        self._results: deque[Settled] = deque()
        self._ready = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.under_way: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def start(self, items: Iterable[Leased]) -> None:
        taken = list(items)
        self.under_way.update(item.id for item in taken)
        self._loop.call_soon_threadsafe(self._begin, taken)

    def collect(self, seconds: float) -> list[Settled]:
        """What is done by now; waits up to `seconds` for the first of it."""
        with self._ready:
            self._ready.wait_for(lambda: self._results, timeout=seconds if self.under_way else 0)
            if not self._results:
                return []
        time.sleep(LINGER_SECONDS)
        with self._ready:
            found = list(self._results)
            self._results.clear()
        self.under_way.difference_update(item.id for item in found)
        return found

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    def _begin(self, items: list[Leased]) -> None:
        for item in items:
            task = self._loop.create_task(self._one(item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, leased: Leased) -> None:
        item = Item(leased.input, self._chosen, leased.attempt, leased.reason)
        try:
            answer = await asyncio.wait_for(self._run(item), self._seconds)
            result = _answered(leased, answer)
        except TimeoutError:
            result = _broken(leased, f"it took longer than {self._seconds:g} s")
        except Exception as error:  # the edge: what a micro-agent raises ends its item's try only
            result = _raised(leased, error)
        with self._ready:
            self._results.append(result)
            self._ready.notify()

    async def _run(self, item: Item) -> Answer:
        """Other people's code: what would end the thread, or cancels itself, is its crash."""
        try:
            if self._pool is None:
                return answer_of(await self._micro.arun(item))
            return answer_of(await self._loop.run_in_executor(self._pool, self._in_thread, item))
        except Exception:
            raise
        except BaseException as error:
            told = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and told and told.cancelling():
                raise  # by us, since its time is over
            raise MicroAgentCrashed(reason=f"{type(error).__name__}: {error}") from error

    def _in_thread(self, item: Item) -> Any:
        try:
            return self._micro.run(item)
        finally:
            connections.close_all()  # threads of a pool live on, and so would what they opened


def _answered(leased: Leased, answer: Answer) -> Settled:
    used: dict[str, Any] = {
        "tokens": answer.tokens,
        "cost_usd": answer.cost_usd,
        "calls": answer.calls,
        "made": answer.made,
    }
    try:
        output, spawn = plain(answer.output), tuple(plain(one) for one in answer.spawn)
    except (TypeError, ValueError, RecursionError):
        said = fault(answer.output) or fault(list(answer.spawn))
        return _broken(leased, f"its output cannot be stored: {said}", **used)
    if (size := len(str(output))) > OUTPUT_BYTES_MAX:
        return _broken(leased, f"its output has {size} characters", final=True, **used)
    return Settled(leased.id, leased.path, True, output=output, spawn=spawn, **used)


def _raised(leased: Leased, error: Exception) -> Settled:
    said, before = f"{type(error).__name__}: {error}"[:1000], used_before(error)
    used: dict[str, Any] = {
        "tokens": before.tokens,
        "cost_usd": before.cost_usd,
        "calls": before.calls,
        "made": before.made,
    }
    if isinstance(error, ItemRefused | Refused):
        return _broken(leased, str(error)[:1000], final=True, **used)
    if isinstance(error, RateLimited | ProviderOutage):
        wait = float(getattr(error, "context", {}).get("retry_after_seconds") or AWAY_SECONDS)
        return _broken(leased, said, forgiven=True, wait_seconds=wait, **used)
    pause = BACKOFF_SECONDS * 2 ** min(leased.attempt - 1, 8)
    return _broken(leased, said, wait_seconds=pause, **used)


def _broken(leased: Leased, reason: str, **rest: Any) -> Settled:
    return Settled(leased.id, leased.path, False, reason=reason, **rest)
