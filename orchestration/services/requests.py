"""Asking people: a row that waits, bound by hash to what is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings

from agentsys.kernel.hashing import digest, plain
from orchestration.models import ApprovalRequest, Goal, Proposal
from orchestration.services.ledger import Book


def request_open(
    book: Book,
    *,
    kind: str,
    question: str,
    context: Mapping[str, Any],
    risk: str,
    allowed: Sequence[str],
    definition: Mapping[str, Any],
    task_id: int | None = None,
    attempt_id: int | None = None,
    proposal: Proposal | None = None,
) -> ApprovalRequest:
    """Ask people. The definition's `approval` may set quorum, four_eyes, days and on_expiry."""
    policy = definition.get("approval") or {}
    days = policy.get("days", settings.AGENTSYS.approval_days)
    request = ApprovalRequest.objects.create(
        goal_id=book.goal_id,
        task_id=task_id,
        attempt_id=attempt_id,
        proposal=proposal,
        kind=kind,
        question=question,
        context=plain({**context, "four_eyes": bool(policy.get("four_eyes"))}),
        risk=risk,
        quorum=policy.get("quorum", 1),
        allowed=list(allowed),
        action_hash=proposal.payload_hash if proposal else digest([question, plain(context)]),
        requested_by=_requester(book.goal_id),
        due_at=book.now + timedelta(days=days),
        on_expiry=policy.get("on_expiry", "expire"),
    )
    book.record(
        "approval.requested",
        actor="orchestrator",
        task_id=task_id,
        attempt_id=attempt_id,
        payload={"approval": request.pk, "kind": kind, "risk": risk, "quorum": request.quorum},
    )
    return request


def _requester(goal_id: int) -> str:
    return Goal.objects.values_list("created_by", flat=True).get(pk=goal_id)
