"""What people's decisions lead to. All of it under the goal's lock, in the decision's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from agentsys.kernel.hashing import digest, plain
from orchestration.domain.lives import AttemptEvent, GoalEvent, ProposalEvent, TaskEvent
from orchestration.domain.settling import Accept, Fail, Propose, Retry
from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task
from orchestration.services.applying import action_failed, applied
from orchestration.services.editing import action_edited, title_of
from orchestration.services.ending import task_fail, task_retry
from orchestration.services.followups import Followups
from orchestration.services.goals import cancel_within
from orchestration.services.learned import playbook_decided
from orchestration.services.ledger import Book
from orchestration.services.moves import attempts_move, goal_move, proposals_move, tasks_move
from orchestration.services.parking import budget_answered, task_resume
from orchestration.services.pausing import deadline_granted
from orchestration.services.plans import roots_start
from orchestration.services.prompting import prompt_decided
from orchestration.services.settle import carry_out
from workers.services import effect_confirm, effect_refuse


def follow(  # noqa: C901 - every kind has its line
    book: Book,
    request: ApprovalRequest,
    decision: str,
    actor: str,
    reason: str,
    payload: Mapping[str, Any] | None,
    after: Followups,
) -> None:
    match request.kind:
        case "question":
            _question_answered(book, request, decision, actor, reason, after)
        case "budget" if request.task_id is None and "deadline_at" in request.context:
            _deadline_decided(book, decision, actor, reason)
        case "budget" if request.task_id is None and decision == "reject":
            cancel_within(book, actor=actor, reason=f"no more budget, says {actor}: {reason}")
        case "budget":
            budget_answered(
                book,
                request,
                decision,
                actor=actor,
                reason=reason,
                payload=payload,
                after=after,
            )
        case "proposal":
            _proposal_decided(book, request, decision, actor, reason, payload, after)
        case "verdict":
            _verdict_decided(book, request, decision, actor, reason, after)
        case "plan":
            plan_decided(book, decision, actor, reason, after)
        case "effect":
            _effect_decided(book, request, decision, actor, reason, after)
        case "playbook":
            playbook_decided(book, request, decision, actor=actor, payload=payload)
        case "prompt":
            prompt_decided(book, request, decision, actor=actor, payload=payload)


def _deadline_decided(book: Book, decision: str, actor: str, reason: str) -> None:
    if decision == "approve":
        deadline_granted(book, actor=actor)
    else:
        cancel_within(book, actor=actor, reason=f"its deadline passed; {reason}")


def _question_answered(
    book: Book, request: ApprovalRequest, decision: str, actor: str, reason: str, after: Followups
) -> None:
    """The task goes on with the answer; one that is at its wits' end ends where people say no."""
    if request.task_id is not None and decision == "reject" and request.context.get("exhausted"):
        said = f"rejected by {actor}: {reason}"
        task_fail(book, request.task_id, reason=said, after=after, actor=actor)
    elif request.task_id is not None:
        task_resume(book, request.task_id, actor=actor, after=after)


def _proposal_decided(
    book: Book,
    request: ApprovalRequest,
    decision: str,
    actor: str,
    reason: str,
    payload: Mapping[str, Any] | None,
    after: Followups,
) -> None:
    proposal, task_id = request.proposal, request.task_id
    if proposal is None or task_id is None:
        return
    match decision:
        case "approve":
            approved = proposals_move(
                book,
                [proposal.pk],
                ProposalEvent.APPROVED,
                actor=actor,
                payload={"approval": request.pk, "hash": proposal.payload_hash},
                fields={"decided_at": book.now, "apply_due_at": book.now},
            )
            after.apply += approved
        case "edit" if proposal.kind == "action":
            after.apply += [_edited(book, proposal, request, payload or {}, actor)]
        case "edit" | "respond":
            _send_back(book, request, actor, reason or "edited by a person", after)
        case _:
            proposals_move(
                book,
                [proposal.pk],
                ProposalEvent.REJECTED,
                actor=actor,
                payload={"reason": reason},
                fields={"reason": reason, "decided_at": book.now},
            )
            _refuse(book, request, actor, f"rejected by {actor}: {reason}", after)


def _edited(
    book: Book,
    proposal: Proposal,
    request: ApprovalRequest,
    payload: Mapping[str, Any],
    actor: str,
) -> int:
    """What was edited is a new proposal by a person, approved as it stands; the old one goes."""
    changed = plain(action_edited(proposal, payload))
    proposals_move(
        book,
        [proposal.pk],
        ProposalEvent.WITHDRAWN,
        actor=actor,
        fields={"reason": f"edited by {actor}", "decided_at": book.now},
    )
    edited = Proposal.objects.create(
        goal_id=proposal.goal_id,
        task_id=proposal.task_id,
        attempt_id=proposal.attempt_id,
        kind=proposal.kind,
        title=title_of(changed),
        payload=changed,
        payload_hash=digest(changed),
        base_hash=proposal.base_hash,
        risk=proposal.risk,
    )
    book.record(
        "proposal.opened",
        actor=actor,
        task_id=proposal.task_id,
        attempt_id=proposal.attempt_id,
        payload={
            "proposal": edited.pk,
            "edits": proposal.pk,
            "hash": edited.payload_hash,
            "risk": edited.risk,
        },
    )
    proposals_move(
        book,
        [edited.pk],
        ProposalEvent.APPROVED,
        actor=actor,
        payload={"approval": request.pk, "hash": edited.payload_hash},
        fields={"decided_at": book.now, "apply_due_at": book.now},
    )
    return edited.pk


def _send_back(
    book: Book, request: ApprovalRequest, actor: str, reason: str, after: Followups
) -> None:
    """The work is done anew with what the person said; it does not cost the agent an attempt."""
    if request.proposal_id:
        proposals_move(book, [request.proposal_id], ProposalEvent.WITHDRAWN, actor=actor)
    attempts_move(
        book,
        [request.attempt_id or 0],
        AttemptEvent.REJECTED,
        actor=actor,
        payload={"reason": reason},
        fields={"reason": reason},
    )
    task_retry(
        book,
        request.task_id or 0,
        reason=reason,
        delay_seconds=0,
        after=after,
        event=TaskEvent.RESUMED,
    )


def _refuse(
    book: Book, request: ApprovalRequest, actor: str, reason: str, after: Followups
) -> None:
    attempts_move(
        book,
        [request.attempt_id or 0],
        AttemptEvent.REJECTED,
        actor=actor,
        payload={"reason": reason},
        fields={"reason": reason},
    )
    task_fail(book, request.task_id or 0, reason=reason, after=after, actor=actor)


def _verdict_decided(
    book: Book,
    request: ApprovalRequest,
    decision: str,
    actor: str,
    reason: str,
    after: Followups,
) -> None:
    if request.task_id is None or request.attempt_id is None:
        return
    if decision == "respond":
        _send_back(book, request, actor, reason, after)
        return
    if decision == "reject":
        refusal = f"rejected by {actor}: {reason}"
        disposition: Accept | Propose | Retry | Fail = Fail(reason=refusal, rejected=True)
    else:
        report = Attempt.objects.values_list("report", flat=True).get(pk=request.attempt_id) or {}
        disposition = Propose() if report.get("proposals") else Accept()
    carry_out(book, request.task_id, request.attempt_id, disposition, after, actor=actor)


def plan_decided(book: Book, decision: str, actor: str, reason: str, after: Followups) -> None:
    if decision == "approve":
        goal_move(book, GoalEvent.PLAN_APPROVED, actor=actor)
        Goal.objects.filter(pk=book.goal_id).update(started_at=book.now, publish_due_at=None)
        after.unlocked += roots_start(book, republish_seconds=settings.AGENTSYS.republish_seconds)
    else:
        tasks = Task.objects.filter(goal_id=book.goal_id, state="blocked")
        tasks_move(book, tasks.values_list("pk", flat=True), TaskEvent.CANCELLED, actor=actor)
        goal_move(book, GoalEvent.FAILED, actor=actor, reason=f"plan rejected: {reason}")
        Goal.objects.filter(pk=book.goal_id).update(publish_due_at=book.now)


def _effect_decided(
    book: Book,
    request: ApprovalRequest,
    decision: str,
    actor: str,
    reason: str,
    after: Followups,
) -> None:
    """A person found out whether an effect in doubt took place: approve says yes, reject no."""
    proposal = request.proposal
    if proposal is None:
        return
    happened = decision == "approve"
    key = f"proposal-{proposal.pk}"
    if happened:
        effect_confirm(key, {"confirmed_by": actor, "note": reason})
        applied(book, proposal, {"confirmed_by": actor, "note": reason}, after)
    else:
        effect_refuse(key, f"{actor}: {reason}")
        action_failed(book, proposal, {"error": f"{actor}: it did not happen. {reason}"}, after)


def expire(book: Book, request: ApprovalRequest, after: Followups) -> None:
    """A task that nobody decided on in time has failed."""
    if request.proposal_id:
        proposals_move(book, [request.proposal_id], ProposalEvent.WITHDRAWN, actor="clock")
    attempts_move(book, [request.attempt_id or 0], AttemptEvent.CANCELLED, actor="clock")
    task_fail(
        book,
        request.task_id or 0,
        after=after,
        actor="clock",
        reason=f"nobody decided approval-{request.pk} in time",
    )
