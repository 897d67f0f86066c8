"""What a call may cost before it is made, and what it did cost: told to whoever pays.

The gateway knows neither budgets nor rows. A caller that has them passes a `Meter`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agentsys.gateway.profiles import ModelProfile

TOKENS_MAX = 100_000_000  # of one call; whoever reports more is not believed
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
    """One call that was made. `outcome` is `ok` or the code of the error it ended with. Cached
    tokens are a part of the input, reasoning tokens of the output."""

    role: str
    model: str
    outcome: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    latency_ms: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; upper bounds when not `measured`."""

    input: int
    output: int
    cached: int
    reasoning: int
    measured: bool


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


def usage_of(answer: Any, input_max: int, output_max: int) -> Usage:
    """What the provider reports of a langchain message. What is missing, or cannot be, is replaced
    by the upper bound that is given."""
    told = getattr(answer, "usage_metadata", None) or {}
    # Nothing is not what a call uses: some servers send zeros for "not counted".
    asked = _count(told.get("input_tokens")) or None
    said = _count(told.get("output_tokens")) or None
    input_tokens = input_max if asked is None else asked
    output_tokens = output_max if said is None else said
    cached = _count((told.get("input_token_details") or {}).get("cache_read")) or 0
    reasoning = _count((told.get("output_token_details") or {}).get("reasoning")) or 0
    return Usage(
        input_tokens,
        output_tokens,
        min(cached, input_tokens),
        min(reasoning, output_tokens),
        measured=asked is not None and said is not None,
    )


def _count(value: Any) -> int | None:
    possible = isinstance(value, int | float) and 0 <= value <= TOKENS_MAX
    return int(value) if possible else None


def tokens_of(*values: Any) -> int:
    """An upper bound for texts and tool calls as they are sent, by their length in bytes."""
    size = sum(
        len(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace"))
        for value in values
    )
    return size // CHARS_A_TOKEN + 1
