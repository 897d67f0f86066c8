"""Limits that processes share, with Redis and while it is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway import limiting, shared
from agentsys.gateway.limiting import admitted
from agentsys.gateway.loopback import Loopback
from agentsys.gateway.presence import PROCESSES_ASSUMED
from agentsys.gateway.profiles import ModelProfile

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """As in a process that has just begun."""
    caches = (limiting._presence, limiting._window_of, limiting._own_window)
    for cache in caches:
        cache.cache_clear()
    limiting.leases._own.clear()
    shared._away_since.clear()
    yield
    for cache in caches:
        cache.cache_clear()


def taken(profile: ModelProfile, tokens: int = 1, tries: int = 50) -> int:
    """How many calls get through, one after another."""
    for done in range(tries):
        try:
            with admitted(profile, tokens):
                pass
        except gateway.RateLimited:
            return done
    return tries


def test_no_more_requests_than_the_limit_get_through() -> None:
    profile = ModelProfile("openai", "m", requests_per_minute=7)
    assert taken(profile) == 7
    with (
        pytest.raises(gateway.RateLimited, match="7 requests a minute") as caught,
        admitted(profile, 1),
    ):
        pass
    assert 50 < caught.value.context["retry_after_seconds"] <= 61


def test_tokens_count_as_many_as_a_call_may_use() -> None:
    profile = ModelProfile("openai", "m", tokens_per_minute=100_000)
    assert taken(profile, tokens=30_000) == 3
    assert taken(profile, tokens=10_000) == 1


def test_a_call_larger_than_its_limit_waits_for_an_empty_window() -> None:
    profile = ModelProfile("openai", "m", tokens_per_minute=1000)
    assert taken(profile, tokens=5000) == 1


def test_a_limit_does_not_count_what_the_other_one_refuses() -> None:
    both = ModelProfile("openai", "m", requests_per_minute=1, tokens_per_minute=1000)
    assert taken(both, tokens=100) == 1
    for _ in range(5):
        assert taken(both, tokens=100) == 0
    assert taken(ModelProfile("openai", "m", tokens_per_minute=1000), tokens=900) == 1


def test_models_and_places_have_limits_of_their_own() -> None:
    first = ModelProfile("openai", "m", requests_per_minute=2)
    assert taken(first) == 2
    assert taken(ModelProfile("openai", "n", requests_per_minute=2)) == 2
    there = ModelProfile("openai", "m", requests_per_minute=2, base_url="http://there/v1")
    assert taken(there) == 2


def test_another_process_sees_the_same_window() -> None:
    profile = ModelProfile("openai", "m", requests_per_minute=5)
    assert taken(profile, tries=3) == 3
    limiting._presence.cache_clear()
    limiting._window_of.cache_clear()
    assert taken(profile) == 2


def test_so_many_calls_at_one_time_and_their_end_lets_others_in(use: Any) -> None:
    profile = ModelProfile("openai", "m", concurrency=2)
    with ExitStack() as calls:
        calls.enter_context(admitted(profile, 1))
        calls.enter_context(admitted(profile, 1))
        assert taken(profile) == 0
    assert taken(profile) == 50


def test_a_lease_of_a_process_that_died_ends_by_itself() -> None:
    presence = limiting._presence()
    assert limiting.leases.take("m", 1, 0.05, presence)
    ended = threading.Event()
    while not ended.is_set():  # by the clock of Redis
        if limiting.leases.take("m", 1, 30.0, presence):
            ended.set()
    assert limiting.leases.take("m", 1, 30.0, presence) is None


def test_without_redis_each_process_keeps_to_a_share_and_says_so_once(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = AWAY
    profile = ModelProfile("openai", "m", requests_per_minute=80, concurrency=80)
    assert taken(profile) == 80 // PROCESSES_ASSUMED
    with ExitStack() as calls:
        for _ in range(80 // PROCESSES_ASSUMED):
            calls.enter_context(admitted(ModelProfile("openai", "n", concurrency=80), 1))
        assert taken(ModelProfile("openai", "n", concurrency=80)) == 0
    assert len([r for r in caplog.records if "Redis is away" in r.getMessage()]) == 1


def test_the_share_is_by_the_processes_that_were_there(settings: Any) -> None:
    profile = ModelProfile("openai", "m", requests_per_minute=30)
    limiting._presence()
    assert taken(profile, tries=1) == 1  # this process is the only one that shows itself
    settings.REDIS_URL = AWAY
    assert taken(profile) == 30


def test_a_wait_for_a_limit_of_our_own_asks_nobody_and_costs_nothing(use: Any) -> None:
    pytest.importorskip("langchain_openai")
    with Loopback(["one"]) as server:
        use(server.model_name("requests_per_minute=1"))
        ask = [{"role": "user", "content": "?"}]
        assert gateway.chat(ask, role="model").text == "one"
        with pytest.raises(gateway.RateLimited) as caught:
            gateway.chat(ask, role="model")
    assert caught.value.context["retry_after_seconds"] > 5
