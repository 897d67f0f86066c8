"""What a goal has cost, and where it went: by model, role, agent and task."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Sum

from orchestration.models import Attempt, Goal
from orchestration.services.reads import found, goal_cost
from workers.services import calls_by

TASKS_MAX = 50


def cost_view(goal_id: int) -> dict[str, Any]:
    """Totals of the goal's budget; calls by model and by role; attempts by agent and by task (the
    dearest TASKS_MAX). What planning and verifying used is in no attempt, so that those sum to less."""
    found(Goal.objects, "goal", goal_id)
    return {
        "goal": goal_id,
        **goal_cost(goal_id),
        "models": calls_by(goal_id, "model"),
        "roles": calls_by(goal_id, "role"),
        "agents": _attempts_by(goal_id, "task__agent"),
        "tasks": _attempts_by(goal_id, "task__key")[:TASKS_MAX],
    }


def _attempts_by(goal_id: int, column: str) -> list[dict[str, Any]]:
    rows = Attempt.objects.filter(goal_id=goal_id, tokens__gt=0).values(name=F(column)).order_by()
    summed = rows.annotate(used=Sum("tokens"), cost=Sum("cost_usd")).order_by("-cost", "-used")
    return [
        {"name": row["name"], "tokens": row["used"], "cost_usd": float(row["cost"])}
        for row in summed
    ]
