"""What verifiers are given of a reported attempt, from its rows; also for the tree that a merge gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import connection

from orchestration.models import Attempt, Proposal
from orchestration.services.metering import GoalMeter
from verification.contracts import Case
from workers.services import agent_output_schema, blob_get

CLAIMS_MAX = 5_000


def case_of_row(attempt_id: int) -> tuple[int, Case] | None:
    """The case of a reported attempt, from its rows; None when it is no longer to be judged."""
    attempt = (
        Attempt.objects.select_related("task", "goal__project")
        .filter(pk=attempt_id, state="reported")
        .first()
    )
    if attempt is None or attempt.report is None:
        return None
    task, goal = attempt.task, attempt.goal
    report = dict(attempt.report)
    inputs = report.pop("inputs", {})
    case = Case(
        goal_id=goal.pk,
        task_id=task.pk,
        attempt_id=attempt.pk,
        fence=attempt.fence,
        definition={**task.definition, "agent": task.agent},
        spec_hash=task.definition_hash,
        artifact_hash=attempt.artifact_hash,
        report=report,
        inputs=inputs,
        blob=blob_get,
        agent_schema=agent_output_schema(task.agent, report),
        repository=_repository(goal.repository, goal.branch, report),
        meter=GoalMeter(goal.pk, task_id=task.pk, attempt_id=attempt.pk),
        namespace=goal.project.namespace,
        accepted_claims=lambda: accepted_claims(goal.pk, but=task.pk),
    )
    return goal.pk, case


_CLAIMS = """
SELECT t.key, claim ->> 'text'
FROM agentsys_orchestration_task t
JOIN agentsys_orchestration_attempt a ON a.id = t.accepted_attempt_id
CROSS JOIN LATERAL jsonb_array_elements(a.report -> 'claims') claim
WHERE t.goal_id = %s AND t.id <> %s AND t.state = 'done'
ORDER BY t.id
LIMIT %s
"""


def accepted_claims(goal_id: int, *, but: int) -> list[dict[str, str]]:
    """What the goal's other tasks claim, as far as it is accepted: `task` and `text`, at most
    CLAIMS_MAX, the oldest tasks first."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIMS, [goal_id, but, CLAIMS_MAX])
        return [{"task": key, "text": text or ""} for key, text in cursor.fetchall()]


def _repository(path: str, branch: str, report: dict[str, Any]) -> dict[str, str] | None:
    if not path:
        return None
    bases = [p["base_hash"] for p in report.get("proposals") or [] if p["kind"] == "change"]
    return {"path": path, "branch": branch, "base": bases[0] if bases else ""}


def case_of_merge(proposal: Proposal, *, base: str, commit: str) -> Case | None:
    """The case of a proposed change as it is in `commit`, its merge into `base`."""
    found = case_of_row(proposal.attempt_id)
    if found is None:
        return None
    case = found[1]
    payload = {**proposal.payload, "base": base, "commit": commit}
    merged = {"kind": "change", "title": proposal.title, "payload": payload, "base_hash": base}
    return replace(
        case,
        report={**case.report, "proposals": [merged]},
        repository={**(case.repository or {}), "base": base},
    )
