"""Budgets: reserve before a model call, settle after it; a breach refuses the call."""

from __future__ import annotations

from decimal import Decimal

from django.db import connection

from agentsys.kernel.errors import AgentsysError, ExitCode
from orchestration.models import Budget
from workers.contracts import Usage

_RESERVE = """
UPDATE agentsys_orchestration_budget
SET tokens_reserved = tokens_reserved + %(tokens)s,
    cost_usd_reserved = cost_usd_reserved + %(cost)s
WHERE goal_id = %(goal)s
  AND tokens_spent + tokens_reserved + %(tokens)s <= tokens_max
  AND cost_usd_spent + cost_usd_reserved + %(cost)s <= cost_usd_max
"""

_SETTLE = """
UPDATE agentsys_orchestration_budget
SET tokens_reserved = GREATEST(tokens_reserved - %(tokens)s, 0),
    cost_usd_reserved = GREATEST(cost_usd_reserved - %(cost)s, 0),
    tokens_spent = tokens_spent + %(tokens_used)s,
    cost_usd_spent = cost_usd_spent + %(cost_used)s
WHERE goal_id = %(goal)s
"""


class BudgetExceeded(AgentsysError):
    """The goal's budget has no room for the call; the work is parked and a person asked."""

    code = "budget-exceeded"
    template = (
        "goal-{goal_id} has no budget for {tokens} more tokens and ${cost_usd:.4f}:"
        " {spent}. Raise the budget in the console to go on"
    )
    exit_code = ExitCode.BUDGET


def budget_reserve(goal_id: int, *, tokens: int, cost_usd: float) -> None:
    """Set aside an upper bound; BudgetExceeded when it does not fit."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RESERVE, {"goal": goal_id, "tokens": tokens, "cost": Decimal(str(cost_usd))}
        )
        reserved = cursor.rowcount
    if not reserved:
        budget = Budget.objects.get(goal_id=goal_id)
        raise BudgetExceeded(
            goal_id=goal_id,
            tokens=tokens,
            cost_usd=cost_usd,
            spent=f"{budget.tokens_spent} of {budget.tokens_max} tokens and"
            f" ${budget.cost_usd_spent:.4f} of ${budget.cost_usd_max:.2f} are spent",
        )


def budget_settle(goal_id: int, *, tokens: int, cost_usd: float, usage: Usage) -> None:
    """Release what was reserved and book what was used."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SETTLE,
            {
                "goal": goal_id,
                "tokens": tokens,
                "cost": Decimal(str(cost_usd)),
                "tokens_used": usage.input_tokens + usage.output_tokens,
                "cost_used": Decimal(str(usage.cost_usd)),
            },
        )
