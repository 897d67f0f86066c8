"""Lets planning and verifying pay for their model calls, from the budgets of the goal."""

from __future__ import annotations

from agentsys.gateway import Estimate, Spent
from orchestration.services.budgets import budget_reserve, budget_settle
from workers.contracts import Usage
from workers.services import model_calls_record


class GoalMeter:
    """An `agentsys.gateway.Meter` for calls that no running attempt makes.

    With a task its own budgets pay too; the attempt is only named in the row of the call.
    """

    def __init__(
        self, goal_id: int, *, task_id: int | None = None, attempt_id: int | None = None
    ) -> None:
        self._goal_id = goal_id
        self._task_id = task_id
        self._attempt_id = attempt_id

    def reserve(self, estimate: Estimate) -> None:
        budget_reserve(
            self._goal_id,
            tokens=estimate.tokens,
            cost_usd=estimate.cost_usd,
            task_id=self._task_id,
        )

    def settle(self, estimate: Estimate, spent: Spent) -> None:
        used = Usage(spent.input_tokens, spent.output_tokens, spent.cost_usd, 1, 0)
        budget_settle(
            self._goal_id,
            tokens=estimate.tokens,
            cost_usd=estimate.cost_usd,
            usage=used,
            task_id=self._task_id,
        )
        model_calls_record([spent], goal_id=self._goal_id, attempt_id=self._attempt_id)
