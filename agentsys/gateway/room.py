"""What is left for one call of somebody whose tokens or dollars are bounded: the answer is made
shorter to fit, and where not even a short one would, the model is not asked at all.

The size of a prompt is an upper bound, as it is for budgets (`agentsys.gateway.metering`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentsys.gateway.errors import NoRoom
from agentsys.gateway.profiles import ModelProfile
from agentsys.kernel.wording import dollars

ANSWER_TOKENS_MIN = 256  # a call of a tool with a few arguments
STEP = 256  # lengths of answers are multiples: the client of each length is kept


@dataclass(frozen=True, slots=True)
class Room:
    """The most that one call may use, prompt and answer together."""

    tokens: int
    cost_usd: float

    def fitted(self, chain: Sequence[ModelProfile], asked: int) -> tuple[ModelProfile, ...]:
        """The models that may be asked with a prompt of `asked` tokens, each with an answer that
        still fits; NoRoom when there is none."""
        fitting = [(profile, self._answer_max(profile, asked)) for profile in chain]
        found = tuple(
            profile if most >= profile.max_tokens else replace(profile, max_tokens=most)
            for profile, most in fitting
            if most >= min(ANSWER_TOKENS_MIN, profile.max_tokens)
        )
        if not found:
            raise self._refusal(chain[0], asked)
        return found

    def _answer_max(self, profile: ModelProfile, asked: int) -> int:
        most = min(profile.max_tokens, self.tokens - asked)
        if most < 1:
            return 0
        if profile.cost_usd(asked, most) > self.cost_usd:
            lengths = range(most + 1)
            most = (
                bisect_right(lengths, self.cost_usd, key=lambda n: profile.cost_usd(asked, n)) - 1
            )
        return most if most >= profile.max_tokens else most - most % STEP if most > STEP else most

    def _refusal(self, profile: ModelProfile, asked: int) -> NoRoom:
        """`short_of` and `asked` say of what how much more is needed, as where a budget is full."""
        tokens = asked + min(ANSWER_TOKENS_MIN, profile.max_tokens)
        cost = profile.cost_usd(asked, tokens - asked)
        if tokens > self.tokens:
            kind, more = "tokens", float(tokens - self.tokens)
            may_take, left = f"{tokens} tokens", f"{max(self.tokens, 0)} are"
        else:
            kind, more = "cost_usd", cost - self.cost_usd
            may_take, left = dollars(cost), f"{dollars(max(self.cost_usd, 0.0))} is"
        reason = (
            f"the prompt and a short answer may take {may_take}, of which {left} left within the"
            " limits of the attempt"
        )
        return NoRoom(model=str(profile), reason=reason, kind=kind, asked=more)
