"""Work that was done before: the same task on the same inputs is not done twice.

Where a task's agent changes nothing outside, a first attempt looks for an accepted one with the same
definition, agent, resolved inputs, directives and base commit: in its goal, or, where the task says
`"reuse": "project"`, in all goals of its project. Its report and its verdicts, which are about the
same bytes, count for this task too. `"reuse": "never"` does the work anew. What was accepted on a
person's word, or proposes a change, is not taken over: that word and that change were for one task.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection

from agentsys.kernel.hashing import digest, plain
from orchestration.domain.settling import Accept
from orchestration.models import WorkHash
from orchestration.services.carrying import verdict_row
from orchestration.services.executing import judged_by
from orchestration.services.hotpath import Claimed
from orchestration.services.ledger import Book
from orchestration.services.settle import Finished
from orchestration.services.tribunal import ruling_on
from verification import services as verification
from verification.contracts import Matter, RulingOutcome
from workers.contracts import Brief, Usage
from workers.services import agent_info

_FIND = """
SELECT a.id, a.task_id, a.goal_id, a.artifact_hash, a.report
FROM agentsys_orchestration_workhash w
JOIN agentsys_orchestration_attempt a ON a.id = w.attempt_id AND a.state = 'accepted'
JOIN agentsys_orchestration_task t ON t.accepted_attempt_id = a.id AND t.state = 'done'
WHERE w.project_id = %(project)s AND w.hash = %(hash)s
  AND (w.goal_id = %(goal)s OR %(project_wide)s)
ORDER BY a.id DESC
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Found:
    attempt_id: int
    task_id: int
    goal_id: int
    artifact_hash: str
    report: dict[str, Any]


def reuse_look(book: Book, taken: Claimed, brief: Brief) -> Finished | None:
    """What this attempt would hand in, if it was done before; else its hash is kept, for others.

    In the transaction that claims the attempt.
    """
    scope = str(taken.definition.get("reuse") or "goal")
    if scope == "never" or brief.number != 1 or not _is_repeatable(taken):
        return None
    hashed = work_hash(taken, brief)
    found = _find(book, hashed, project_wide=scope == "project")
    if found is not None and (finished := _finished(book, taken, found)):
        book.record(
            "work.reused",
            task_id=taken.task_id,
            attempt_id=taken.attempt_id,
            actor="orchestrator",
            payload={"goal": found.goal_id, "task": found.task_id, "attempt": found.attempt_id},
        )
        return finished
    WorkHash.objects.get_or_create(
        attempt_id=taken.attempt_id,
        defaults={"goal_id": book.goal_id, "project_id": book.project_id, "hash": hashed},
    )
    return None


def work_hash(taken: Claimed, brief: Brief) -> str:
    """Names the work: equal for tasks that ask the same of the same agent about the same things."""
    return digest(
        plain(
            {
                "agent": taken.agent,
                "definition": taken.definition_hash,
                "inputs": brief.inputs,
                "needs": sorted(map(digest, plain(list(brief.needs.values())))),
                "directives": list(brief.directives),
                "instructions": brief.instructions,
                "model": brief.model,
                "base": brief.repository.base if brief.repository else "",
                "repository": brief.repository.path if brief.repository else "",
            }
        )
    )


def _is_repeatable(taken: Claimed) -> bool:
    info = agent_info().get(taken.agent)
    return info is not None and not info.effects and taken.agent != "planner"


def _find(book: Book, hashed: str, *, project_wide: bool) -> Found | None:
    values: dict[str, Any] = {
        "project": book.project_id,
        "hash": hashed,
        "goal": book.goal_id,
        "project_wide": project_wide,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FIND, values)
        row = cursor.fetchone()
    if row is None:
        return None
    attempt_id, task_id, goal_id, hashed_artifacts, report = row
    return Found(attempt_id, task_id, goal_id, hashed_artifacts, json.loads(report))


def _finished(book: Book, taken: Claimed, found: Found) -> Finished | None:
    """The report and the verdicts of what was found, for this attempt; None where they would not be
    accepted today, by the policy in force and whom it believes."""
    views = verification.verdicts_of([found.attempt_id])[found.attempt_id]
    if found.report.get("proposals") or any(view.override for view in views):
        return None
    definition = {**taken.definition, "agent": taken.agent}
    policy = verification.policy_for(definition, found.report)
    matter = Matter(
        spec_hash=taken.definition_hash,
        artifact_hash=found.artifact_hash,
        risk=verification.risk_of(found.report),
        round=taken.attempts_count,
    )
    if verification.forbidden_by(policy, found.report):
        return None
    if ruling_on(definition, policy, views, matter).outcome is not RulingOutcome.ACCEPT:
        return None
    origin = {"goal": found.goal_id, "task": found.task_id, "attempt": found.attempt_id}
    return Finished(
        claim=taken,
        report={
            **{name: part for name, part in found.report.items() if name != "policy"},
            **judged_by(policy),
            "usage": asdict(Usage()),
            "reused": origin,
        },
        artifact_hash=found.artifact_hash,
        verdicts=tuple(
            verdict_row(book, taken.attempt_id, view, view.outcome)
            for view in views
            if view.outcome is not None
        ),
        disposition=Accept(),
    )
