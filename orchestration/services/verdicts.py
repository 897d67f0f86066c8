"""Judging reported attempts, and people's word over verifiers'."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from orchestration.models import Attempt
from orchestration.services.approvals import NotAllowed
from orchestration.services.ledger import goal_locked
from orchestration.services.settle import attempt_settle
from verification import services as verification
from verification.contracts import Case
from workers.services import agent_info, blob_get


def case_of_row(attempt_id: int) -> tuple[int, Case] | None:
    """The case of a reported attempt, from its rows; None when it is no longer to be judged."""
    attempt = (
        Attempt.objects.select_related("task", "goal")
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
        agent_schema=agent_info()[task.agent].output_schema,
        repository=_repository(goal.repository, goal.branch, report),
    )
    return goal.pk, case


def _repository(path: str, branch: str, report: dict[str, Any]) -> dict[str, str] | None:
    if not path:
        return None
    bases = [p["base_hash"] for p in report.get("proposals") or [] if p["kind"] == "change"]
    return {"path": path, "branch": branch, "base": bases[0] if bases else ""}


def attempt_verify(attempt_id: int, verifier: str, voter: str) -> str:
    """Let one verifier speak on an attempt; a doubled message finds its verdict claimed or done."""
    found = case_of_row(attempt_id)
    if found is None:
        verification.verdicts_withdraw([attempt_id])
        return "not to be judged"
    goal_id, case = found
    if not verification.verdict_claim(
        attempt_id, verifier, voter, verification.busy_seconds(verifier)
    ):
        return "claimed or done"
    draft = verification.judge(case, verifier, voter)
    if not verification.verdict_record(attempt_id, draft):
        return "already spoken"
    with goal_locked(goal_id) as book:
        book.record(
            "verdict.given",
            actor=f"verifier:{verifier}",
            task_id=case.task_id,
            attempt_id=attempt_id,
            payload={
                "outcome": str(draft.outcome),
                "veto": draft.veto,
                "artifact_hash": case.artifact_hash,
                "spec_hash": case.spec_hash,
            },
        )
    return str(draft.outcome)


def verdict_overrule(
    attempt_id: int, verifier: str, voter: str = "", *, outcome: str, user: User, reason: str
) -> None:
    """A person's word over a verifier's, with a reason; then the attempt is decided on again."""
    if not (user.is_active and user.has_perm("agentsys_orchestration.override_verdict")):
        raise NotAllowed(
            user=user.get_username(), what="override a verdict", why="not an overriding person"
        )
    attempt = Attempt.objects.select_related("task").get(pk=attempt_id)
    with goal_locked(attempt.goal_id) as book:
        verification.verdict_override(
            attempt_id, verifier, voter, outcome=outcome, by=user.get_username(), reason=reason
        )
        book.record(
            "verdict.overruled",
            actor=user.get_username(),
            task_id=attempt.task_id,
            attempt_id=attempt_id,
            payload={"verifier": verifier, "outcome": outcome, "reason": reason},
        )
    attempt_settle(attempt_id).publish(attempt.goal_id)
