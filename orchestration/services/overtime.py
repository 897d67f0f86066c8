"""A goal whose wall clock has used up its budget of seconds: it is paused, and people are asked.

A model call looks at the clock when it reserves (`budgets`), so what calls no model would never
notice. The sweep does, for all goals alike: within a sweep nothing more of the goal is begun, and
what runs comes to its end. Paused time does not count, so waiting for the answer costs nothing.
"""

from __future__ import annotations

from django.db import connection

from orchestration.models import ApprovalRequest, Goal
from orchestration.services.budgets import BUDGET, ELAPSED, Shortage, exceeded
from orchestration.services.ledger import goal_locked
from orchestration.services.parking import facts_of
from orchestration.services.requests import request_open

# Only goals with such a limit are looked at, and there are few.
_OVER = f"""
SELECT g.id, c.id, c.seconds_max, {ELAPSED}
FROM {BUDGET} c JOIN agentsys_orchestration_goal g ON g.id = c.goal_id
WHERE c.seconds_max IS NOT NULL AND g.state = 'running' AND g.paused_at IS NULL
  AND (%(goal)s::bigint IS NULL OR g.id = %(goal)s::bigint) AND {ELAPSED} >= c.seconds_max
ORDER BY g.id LIMIT 500
"""  # noqa: S608 - put together from statements of our own

_ASKED = {"kind": "budget", "task": None, "context__kind": "seconds"}


def overtime() -> list[int]:
    """Running goals that have used up their seconds."""
    return [row[0] for row in _over(None)]


def overtime_park(goal_id: int) -> None:
    """Pause the goal and ask for more time; nothing when somebody was faster."""
    with goal_locked(goal_id) as book:
        rows = _over(goal_id)
        if not rows:
            return
        _, budget_id, most, spent = rows[0]
        Goal.objects.filter(pk=goal_id).update(paused_at=book.now, paused_by="budget")
        book.record("goal.paused", actor="orchestrator", payload={"by": "budget"})
        if ApprovalRequest.objects.filter(goal_id=goal_id, state="open", **_ASKED).exists():
            return  # paused and resumed by hand meanwhile: people are asked already
        short = Shortage(
            budget_id, "goal", f"goal-{goal_id}", "seconds", most, float(spent), 0.0, 0.0
        )
        request_open(
            book,
            kind="budget",
            question=str(exceeded(short, goal_id)),
            context=facts_of(short),
            risk="write",
            allowed=("approve", "edit", "reject"),
            definition={},
        )


def _over(goal_id: int | None) -> list[tuple[int, int, float, float]]:
    with connection.cursor() as cursor:
        cursor.execute(_OVER, {"goal": goal_id})
        return list(cursor.fetchall())
