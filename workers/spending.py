"""What models were asked for a goal: call by call, and what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, F, QuerySet, Sum

from workers.models import ModelCall


def calls_of(goal_id: int) -> QuerySet[ModelCall]:
    return ModelCall.objects.filter(goal_id=goal_id)


def call_lines(calls: Sequence[ModelCall]) -> list[dict[str, Any]]:
    return [
        {
            "id": call.pk,
            "attempt": call.attempt_id,
            "role": call.role,
            "model": call.model,
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "cached_tokens": call.cached_tokens,
            "reasoning_tokens": call.reasoning_tokens,
            "cost_usd": float(call.cost_usd),
            "latency_ms": call.latency_ms,
            "outcome": call.outcome,
            "created_at": call.created_at.isoformat(),
        }
        for call in calls
    ]


def calls_by(goal_id: int, column: str) -> list[dict[str, Any]]:
    """Calls of a goal by `column` (model or role): how many, and what they came to; the dearest
    first."""
    rows = calls_of(goal_id).values(name=F(column)).order_by()
    summed = rows.annotate(
        calls=Count("pk"),
        tokens=Sum(F("input_tokens") + F("output_tokens")),
        cost=Sum("cost_usd"),
    )
    found = summed.order_by("-cost", "-tokens", "name")
    return [
        {
            "name": row["name"],
            "calls": row["calls"],
            "tokens": row["tokens"],
            "cost_usd": float(row["cost"]),
        }
        for row in found
    ]
