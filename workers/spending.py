"""What models were asked for a goal: call by call, and what it came to by attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

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


def calls_by_attempt(goal_id: int, attempt_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """By attempt: what its model calls used, by role and model. Verifying is among them."""
    rows = calls_of(goal_id).filter(attempt_id__in=attempt_ids)
    sums = rows.values("attempt_id", "role", "model").annotate(
        calls=Count("pk"),
        failed=Count("pk", filter=~Q(outcome="ok")),
        input=Sum("input_tokens"),
        output=Sum("output_tokens"),
        cost_usd=Sum("cost_usd"),
        latency_ms=Sum("latency_ms"),
    )
    found: dict[int, list[dict[str, Any]]] = {pk: [] for pk in attempt_ids}
    for row in sums.order_by("role", "model"):
        one: dict[str, Any] = dict(row)
        found[one.pop("attempt_id")].append(one)
    return found
