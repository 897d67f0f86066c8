"""What a person should look at though nothing asks for a decision: effects of which nobody knows
whether they happened, and model agents that left their task.

Most doubts become a request, which the inbox shows as such; these are the others: a tool's effect
whose attempt is over. Each is one bounded statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

SHOWN_MAX = 20
DRIFT_ROWS = 5000  # the newest checkpoints that are looked through

_DOUBTS = """
SELECT e.key, e.kind, e.created_at, a.id, g.id, t.key
FROM agentsys_workers_effect e
JOIN agentsys_orchestration_attempt a ON a.id = e.attempt_id
JOIN agentsys_orchestration_task t ON t.id = a.task_id
JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
WHERE e.state IN ('intent', 'doubtful') AND (e.state = 'doubtful' OR a.finished_at IS NOT NULL)
  AND (%(projects)s::bigint[] IS NULL OR g.project_id = ANY(%(projects)s))
  AND g.finished_at IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM agentsys_orchestration_approvalrequest r
    WHERE r.goal_id = g.id AND r.kind = 'effect' AND r.state = 'open'
      AND e.key = 'proposal-' || r.proposal_id)
ORDER BY e.created_at DESC LIMIT %(limit)s
"""

_DRIFTS = """
SELECT DISTINCT ON (d.lineage) d.outcome, d.step, d.score, d."limit", d.created_at,
       a.id, a.state, g.id, t.key
FROM agentsys_workers_driftscore d
JOIN agentsys_orchestration_attempt a ON a.id = d.attempt_id
JOIN agentsys_orchestration_task t ON t.id = a.task_id
JOIN agentsys_orchestration_goal g ON g.id = a.goal_id
WHERE d.id > (SELECT max(id) FROM agentsys_workers_driftscore) - %(rows)s
  AND d.outcome <> 'on' AND g.finished_at IS NULL
  AND t.state NOT IN ('done', 'failed', 'cancelled', 'superseded')
  AND (%(projects)s::bigint[] IS NULL OR g.project_id = ANY(%(projects)s))
ORDER BY d.lineage, d.step DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """An effect that was begun: it may have happened."""

    key: str
    kind: str
    since_at: datetime
    attempt_id: int
    goal_id: int
    task_key: str


@dataclass(frozen=True, slots=True)
class Drift:
    """`outcome` is leaning or drifted, at the newest checkpoint that was not on course."""

    outcome: str
    step: int
    score: float
    limit: float
    at: datetime
    attempt_id: int
    attempt_state: str
    goal_id: int
    task_key: str


def doubts(projects: Sequence[int] | None) -> list[Doubt]:
    """Of goals under way in these projects (None: all), newest first, at most `SHOWN_MAX`."""
    with connection.cursor() as cursor:
        cursor.execute(_DOUBTS, {"projects": _listed(projects), "limit": SHOWN_MAX})
        return [Doubt(*row) for row in cursor.fetchall()]


def drifts(projects: Sequence[int] | None) -> list[Drift]:
    """Of tasks that are not over, one a lineage, at most `SHOWN_MAX`."""
    asked = {"projects": _listed(projects), "limit": SHOWN_MAX, "rows": DRIFT_ROWS}
    with connection.cursor() as cursor:
        cursor.execute(_DRIFTS, asked)
        return [Drift(*row) for row in cursor.fetchall()]


def _listed(projects: Sequence[int] | None) -> list[int] | None:
    return None if projects is None else list(projects)
