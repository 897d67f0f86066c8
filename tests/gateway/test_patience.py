"""One call among several models: waits, fallbacks and breakers."""

from __future__ import annotations

from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway import breakers, roles
from agentsys.gateway.loopback import Cut, Loopback, Say, limited, outage
from agentsys.gateway.models import Profile

pytest.importorskip("langchain_openai")
ASK = [{"role": "user", "content": "how many?"}]


def serve(use: Any, first: Loopback, *then: Loopback, **settings: Any) -> None:
    use("", **settings)
    Profile.objects.update_or_create(
        role="model",
        defaults={
            "model": first.model_name(),
            "fallbacks": "\n".join(server.model_name() for server in then),
        },
    )
    roles.forget()


def ask() -> gateway.ChatResult:
    return gateway.chat(ASK, role="model")


class Purse:
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.reserved = 0

    def reserve(self, estimate: gateway.Estimate) -> None:
        self.reserved += 1

    def settle(self, estimate: gateway.Estimate, spent: gateway.Spent) -> None:
        self.outcomes.append(spent.outcome)


def test_a_short_wait_is_waited_out_in_place(use: Any) -> None:
    with Loopback([limited(0.01), limited(0.01), "here"]) as server:
        serve(use, server)
        assert ask().text == "here"


def test_a_long_wait_is_raised_at_once_with_its_length(use: Any) -> None:
    """The orchestrator parks the task: waiting costs no worker."""
    with Loopback([limited(7)]) as server:
        serve(use, server)
        with pytest.raises(gateway.RateLimited) as caught:
            ask()
    assert caught.value.context["retry_after_seconds"] == 7.0


def test_waits_in_place_are_bounded_together(use: Any) -> None:
    with Loopback(lambda asked: limited(0.02)) as server:
        serve(use, server, model_wait_seconds=0.1)
        with pytest.raises(gateway.RateLimited):
            ask()
    assert 2 <= len(server.asked) <= 6


@pytest.mark.parametrize(
    "fault", [outage(503), limited(60), limited(), Cut("a text of some length", after=9)]
)
def test_the_next_model_is_asked_when_one_is_away_or_limited(use: Any, fault: Any) -> None:
    with Loopback([fault]) as first, Loopback(["from the second"]) as second:
        serve(use, first, second)
        purse = Purse()
        said = gateway.chat(ASK, role="model", meter=purse)
    assert said.text == "from the second"
    assert (purse.reserved, len(purse.outcomes), purse.outcomes[-1]) == (2, 2, "ok")


@pytest.mark.parametrize("turn", [Say(refusal="no"), outage(401), outage(400)])
def test_no_other_model_is_asked_to_get_around_a_no(use: Any, turn: Any) -> None:
    with Loopback([turn]) as first, Loopback([]) as second:
        serve(use, first, second)
        with pytest.raises((gateway.Refused, gateway.ProviderMissing)):
            ask()
    assert second.asked == []


def test_when_all_are_away_the_error_tells_of_what_is_over_first(use: Any) -> None:
    with Loopback([outage()]) as first, Loopback([limited(50)]) as second:
        serve(use, first, second)
        with pytest.raises(gateway.RateLimited) as caught:
            ask()
    assert caught.value.context["retry_after_seconds"] == 50.0


# --- Breakers ------------------------------------------------------------------------------------


@pytest.fixture(params=["shared", "alone"])
def redis_is(request: Any, settings: Any) -> str:
    """With Redis, and while it is away."""
    if request.param == "alone":
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
    return str(request.param)


def test_after_some_outages_the_provider_is_left_alone(use: Any, redis_is: str) -> None:
    with Loopback([outage(), outage(), outage()]) as server:
        serve(use, server, breaker_outages=3, breaker_seconds=60.0)
        for _ in range(3):
            with pytest.raises(gateway.ProviderOutage):
                ask()
        with pytest.raises(gateway.ProviderOutage, match="3 outages in a row") as caught:
            ask()
    assert 0 < caught.value.context["retry_after_seconds"] <= 60
    (seen,) = breakers.breakers()
    assert (seen.state, seen.outages) == ("open", 3)
    assert "127.0.0.1" in seen.source


def test_an_open_breaker_sends_calls_to_the_next_model(use: Any, redis_is: str) -> None:
    with Loopback([outage()]) as first, Loopback(["a", "b"]) as second:
        serve(use, first, second, breaker_outages=1, breaker_seconds=60.0)
        assert [ask().text, ask().text] == ["a", "b"]


def test_one_call_tries_when_the_pause_is_over_and_its_answer_closes(
    use: Any, redis_is: str
) -> None:
    source = "openai@somewhere"
    use("", breaker_outages=1, breaker_seconds=0.001)
    breakers.failed(source)
    while breakers.state_of(source).state != "half-open":
        pass
    breakers.admit(source)
    with pytest.raises(gateway.ProviderOutage):
        breakers.admit(source)  # another one tries already
    breakers.answered(source)
    assert breakers.state_of(source) == breakers.Breaker(source, "closed")
    breakers.admit(source)


def test_each_pause_is_longer_and_late_outages_do_not_lengthen_it(use: Any, redis_is: str) -> None:
    source = "openai@somewhere"
    use("", breaker_outages=1, breaker_seconds=40.0)
    for _ in range(5):  # calls that were under way together
        breakers.failed(source)
    assert breakers.state_of(source).seconds_left <= 40
    with_store = breakers._local.drop if redis_is == "alone" else None
    if with_store:
        with_store(f"{source}.open")
    else:
        breakers.by_redis(
            lambda client: client.delete(breakers.key("breaker", f"{source}.open")), lambda: 0
        )
    breakers.failed(source)
    assert 40 < breakers.state_of(source).seconds_left <= 80


def test_an_answer_of_any_kind_counts_as_one(use: Any) -> None:
    with Loopback([outage(), limited(9), outage(), outage(400), outage()]) as server:
        serve(use, server, breaker_outages=2)
        for _ in range(5):
            with pytest.raises(gateway.GatewayError):
                ask()
    assert [seen.state for seen in breakers.breakers()] == ["closed"]
