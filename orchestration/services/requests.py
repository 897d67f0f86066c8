"""Asking people: a row that waits, bound by hash to what is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from agentsys.kernel.errors import AgentsysError, ExitCode
from agentsys.kernel.hashing import digest, plain
from orchestration.domain.lives import ProposalEvent
from orchestration.models import ApprovalRequest, Goal, Proposal, Task
from orchestration.services.ledger import Book
from orchestration.services.moves import proposals_move


class BeingApplied(AgentsysError):
    """What was approved is on its way into the world, or nobody knows whether it got there."""

    code = "being-applied"
    template = "proposal-{id} of {task} is being applied, nothing was changed; {way_out}"
    exit_code = ExitCode.CONFLICT


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
    action_hash: str = "",
    roles: Sequence[str] = (),
) -> ApprovalRequest:
    """Ask people. The definition's `approval` may set quorum, roles, four_eyes, days and on_expiry;
    `roles` given here count in the place of those.
    `action_hash` is of what would be done, where that is no proposal; else the question itself is
    what is decided.

    Where several people must agree nobody may edit: they would have agreed to something else.
    """
    policy = definition.get("approval") or {}
    if policy.get("quorum", 1) > 1:
        allowed = [one for one in allowed if one != "edit"]
    days = policy.get("days", settings.AGENTSYS.approval_days)
    request = ApprovalRequest.objects.create(
        goal_id=book.goal_id,
        task_id=task_id,
        attempt_id=attempt_id,
        proposal=proposal,
        kind=kind,
        question=question,
        context=plain(context),
        risk=risk,
        quorum=policy.get("quorum", 1),
        roles=list(roles or policy.get("roles") or ()),
        four_eyes=bool(policy.get("four_eyes")),
        allowed=list(allowed),
        action_hash=proposal.payload_hash
        if proposal
        else action_hash or digest([question, plain(context)]),
        requested_by=_requester(book.goal_id),
        due_at=_clock(book, task_id) + timedelta(days=days),
        patience_seconds=timedelta(days=days).total_seconds(),
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


def _clock(book: Book, task_id: int | None) -> datetime:
    """Of a task that is paused by itself the time stands still, too."""
    if task_id is None:
        return book.clock
    return Task.objects.values_list("paused_at", flat=True).get(pk=task_id) or book.clock


def task_requests_withdraw(book: Book, task_id: int, *, actor: str) -> None:
    """What a task asked for is void once it is tried anew or has failed: nothing of it is applied."""
    proposals = Proposal.objects.filter(
        task_id=task_id, state__in=("open", "in_review", "approved")
    )
    proposals_move(
        book,
        proposals.values_list("pk", flat=True),
        ProposalEvent.WITHDRAWN,
        actor=actor,
        fields={"apply_due_at": None},
    )
    still_open = ApprovalRequest.objects.filter(task_id=task_id, state="open")
    for request_id in list(still_open.order_by("pk").values_list("pk", flat=True)):
        ApprovalRequest.objects.filter(pk=request_id).update(state="withdrawn", decided_at=book.now)
        book.record(
            "approval.withdrawn", actor=actor, task_id=task_id, payload={"approval": request_id}
        )


def _requester(goal_id: int) -> str:
    return Goal.objects.values_list("created_by", flat=True).get(pk=goal_id)


def begun_refuse(task_ids: Collection[int]) -> None:
    """BeingApplied while a proposal of these tasks is: a task is not changed under what happens in
    the world on its behalf. Under the goal's lock."""
    begun = Proposal.objects.filter(
        task_id__in=task_ids, state="approved", apply_taken_at__isnull=False
    )
    proposal = begun.select_related("task").order_by("pk").first()
    if proposal is None:
        return
    asked = ApprovalRequest.objects.filter(proposal=proposal, kind="effect", state="open").first()
    raise BeingApplied(
        id=proposal.pk,
        task=proposal.task.key,
        way_out=f"answer approval-{asked.pk} first" if asked else "try again when it is",
    )
