"""One answer from the first model that gives one: short waits in place, then the next model.

A wait of at most AGENTSYS_MODEL_WAIT_SECONDS, asked for by the provider or by our own limits, is
waited out here. A longer one is raised, with `retry_after_seconds`: the orchestrator parks the task
and gives the worker to others. So is an outage, once every fallback was asked.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings

from agentsys.gateway import breakers
from agentsys.gateway.errors import GatewayError, ProviderOutage, RateLimited
from agentsys.gateway.limiting import admitted
from agentsys.gateway.profiles import ModelProfile
from agentsys.gateway.providers import chat_model
from agentsys.gateway.roles import Chain

JITTER = 0.25  # of the wait, on top of it
T = TypeVar("T")


def first_answer(
    chain: Chain, tokens: Callable[[ModelProfile], int], call: Callable[[ModelProfile], T]
) -> T:
    """What `call` gives for the first profile for which it does not end in an outage or a rate
    limit; else of their errors the one that is over first. `tokens` is the most a call may use."""
    errors: list[GatewayError] = []
    for profile in chain:
        try:
            return _patiently(profile, tokens(profile), call)
        except (RateLimited, ProviderOutage) as error:
            errors.append(error)
    raise min(errors, key=_wait_of)


def _patiently(profile: ModelProfile, tokens: int, call: Callable[[ModelProfile], T]) -> T:
    # A first use imports an SDK. That must not come between the count of a request and its arrival.
    chat_model(profile)
    left = settings.AGENTSYS.model_wait_seconds
    while True:
        try:
            return _once(profile, tokens, call)
        except RateLimited as error:
            wait = _wait_of(error) * random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 - no secret
            if wait > left:
                raise
            left -= max(wait, 0.01)
            time.sleep(wait)


def _once(profile: ModelProfile, tokens: int, call: Callable[[ModelProfile], T]) -> T:
    with admitted(profile, tokens):
        breakers.admit(profile.source)
        try:
            answer = call(profile)
        except ProviderOutage:
            breakers.failed(profile.source)
            raise
        except GatewayError:
            breakers.answered(profile.source)
            raise
        breakers.answered(profile.source)
        return answer


def _wait_of(error: GatewayError) -> float:
    seconds = error.context.get("retry_after_seconds")
    return float("inf") if seconds is None else float(seconds)
