"""Lets an attempt pay for its model calls: budget from its ports, a row for each call."""

from __future__ import annotations

from agentsys.gateway import Estimate, Spent
from workers.contracts import Brief, Ports, Usage
from workers.services import model_calls_record


class AttemptMeter:
    """An `agentsys.gateway.Meter` for one attempt."""

    def __init__(self, brief: Brief, ports: Ports) -> None:
        self._brief = brief
        self._ports = ports

    def reserve(self, estimate: Estimate) -> None:
        self._ports.reserve(tokens=estimate.tokens, cost_usd=estimate.cost_usd)

    def settle(self, estimate: Estimate, spent: Spent) -> None:
        used = Usage(spent.input_tokens, spent.output_tokens, spent.cost_usd, 1, 0)
        self._ports.settle(
            reserved_tokens=estimate.tokens, reserved_cost_usd=estimate.cost_usd, usage=used
        )
        model_calls_record([spent], goal_id=self._brief.goal_id, attempt_id=self._brief.attempt_id)
