"""What a call may cost before it is made, and what it did cost: told to whoever pays.

The gateway knows neither budgets nor rows. A caller that has them passes a `Meter`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentsys.gateway.profiles import ModelProfile

CHARS_A_TOKEN = 3  # when a provider does not say: an upper bound for English and code


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that one call can use."""

    input_tokens: int
    output_tokens: int
    cost_usd: float

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Spent:
    """One call that was made. `outcome` is `ok` or the code of the error it ended with."""

    role: str
    model: str
    outcome: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    latency_ms: int


class Meter(Protocol):
    """`reserve` may raise to refuse the call; else `settle` follows once, whatever happens."""

    def reserve(self, estimate: Estimate) -> None: ...
    def settle(self, estimate: Estimate, spent: Spent) -> None: ...


def estimate_of(
    profile: ModelProfile,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
) -> Estimate:
    asked = tokens_of(messages, tools)
    cost = profile.cost_usd(asked, profile.max_tokens)
    return Estimate(input_tokens=asked, output_tokens=profile.max_tokens, cost_usd=cost)


def tokens_of(*values: Any) -> int:
    """An upper bound for texts and tool calls as they are sent, by their length in bytes."""
    size = sum(
        len(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace"))
        for value in values
    )
    return size // CHARS_A_TOKEN + 1
