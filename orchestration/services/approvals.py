"""Approvals: questions that wait for people, and what their decisions lead to.

A request waits as a row and costs nothing meanwhile. A decision is one row per person and
request, bound by hash to what was shown; it is final. Agents have no way to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode, NotFound
from agentsys.kernel.hashing import digest, plain
from orchestration.domain.lives import AttemptEvent, GoalEvent, ProposalEvent, TaskEvent
from orchestration.domain.settling import Accept, Fail, Propose, Retry
from orchestration.models import (
    ApprovalRequest,
    Attempt,
    Decision,
    Goal,
    Membership,
    Proposal,
    Task,
)
from orchestration.services.ending import task_fail, task_retry
from orchestration.services.followups import Followups
from orchestration.services.goals import cancel_within
from orchestration.services.learned import playbook_decided
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import attempts_move, goal_move, proposals_move, tasks_move
from orchestration.services.parking import budget_answered, task_resume
from orchestration.services.pausing import deadline_granted
from orchestration.services.plans import roots_start
from orchestration.services.proposals import action_failed, applied
from orchestration.services.settle import carry_out
from orchestration.services.tribunal import approval_problems
from workers.actions import Action
from workers.services import effect_confirm, effect_refuse

DECIDERS = ("approver", "admin")


class AlreadyDecided(AgentsysError):
    """The request is closed, or this person has decided on it before."""

    code = "already-decided"
    template = "approval-{id} is {state}; nothing was changed"
    exit_code = ExitCode.CONFLICT


class NotAllowed(AgentsysError):
    """This person may not do this."""

    code = "not-allowed"
    template = "{user} may not {what}: {why}"


def approval_decide(
    request_id: int,
    *,
    user: User,
    decision: str,
    reason: str = "",
    payload: Mapping[str, Any] | None = None,
) -> ApprovalRequest:
    """Record one person's decision and, once it is complete, act on it.

    Raises NotFound, NotAllowed, BadInput (a rejection without a reason, an edit without a
    payload, a decision that this request does not take) and AlreadyDecided.
    """
    found = ApprovalRequest.objects.filter(pk=request_id).values_list("goal_id", flat=True).first()
    if found is None:
        raise NotFound(kind="approval", id=request_id, listing="inbox list")
    after = Followups()
    with goal_locked(found) as book:
        request = ApprovalRequest.objects.select_related("proposal", "task").get(pk=request_id)
        _check(request, user, decision, reason, payload)
        if request.due_at is not None and request.due_at <= book.now and book.paused_at is None:
            raise AlreadyDecided(id=request.pk, state="past its due time")
        _insert(request, user, decision, reason, payload)
        outcome = _outcome(request, decision)
        book.record(
            "approval.decided",
            actor=user.get_username(),
            task_id=request.task_id,
            attempt_id=request.attempt_id,
            payload={
                "approval": request.pk,
                "decision": decision,
                "reason": reason,
                "payload": payload,
                "action_hash": request.action_hash,
                "state": outcome or "open",
            },
        )
        if outcome:
            _close(book, request, outcome)
            _follow(book, request, decision, user.get_username(), reason, payload, after)
    crashpoint("C15")
    after.publish(found)
    request.refresh_from_db()
    return request


def _check(
    request: ApprovalRequest,
    user: User,
    decision: str,
    reason: str,
    payload: Mapping[str, Any] | None,
) -> None:
    if request.state != "open":
        raise AlreadyDecided(id=request.pk, state=request.state)
    _check_person(request, user)
    problems = []
    if decision not in request.allowed:
        problems.append(
            f"`{decision}` is not possible here; use one of {', '.join(request.allowed)}"
        )
    if decision == "reject" and not reason.strip():
        problems.append("a rejection needs a reason")
    if decision == "respond" and not reason.strip():
        problems.append("a response needs a text")
    if decision == "edit" and not (payload and isinstance(payload, Mapping)):
        problems.append("an edit needs the changed payload, an object: {NAME: VALUE, …}")
    if decision == "approve" and request.kind == "verdict":
        problems += approval_problems(request, user.get_username(), reason)
    if problems:
        raise BadInput(what=f"approval-{request.pk}", problems=problems)
    if decision == "edit" and request.proposal and request.proposal.kind == "action":
        Action.of({**request.proposal.payload, **(payload or {})})


def _check_person(request: ApprovalRequest, user: User) -> None:
    project_id = request.goal.project_id
    member = Membership.objects.filter(project_id=project_id, user=user, role__in=DECIDERS)
    entitled = user.is_superuser or member.exists()
    entitled = entitled or user.has_perm("agentsys_orchestration.decide_approval")
    name = user.get_username()
    if not user.is_active or not entitled:
        raise NotAllowed(
            user=name, what=f"decide approval-{request.pk}", why="not an approver of this project"
        )
    if request.context.get("four_eyes") and request.requested_by == name:
        raise NotAllowed(
            user=name, what=f"decide approval-{request.pk}", why="it takes a second pair of eyes"
        )


def _insert(
    request: ApprovalRequest,
    user: User,
    decision: str,
    reason: str,
    payload: Mapping[str, Any] | None,
) -> None:
    try:
        with transaction.atomic():
            Decision.objects.create(
                request=request,
                user=user,
                decision=decision,
                reason=reason,
                payload=plain(payload) if payload else None,
                action_hash=request.action_hash,
            )
    except IntegrityError as error:
        raise AlreadyDecided(
            id=request.pk, state=f"decided by {user.get_username()} already"
        ) from error


def _outcome(request: ApprovalRequest, decision: str) -> str:
    """The request's new state, or "" while the quorum is not reached. One rejection is enough."""
    if decision == "reject":
        return "rejected"
    if decision == "respond":
        return "answered"
    agreed = request.decisions.filter(decision__in=("approve", "edit")).count()
    return "approved" if agreed >= request.quorum else ""


def _close(book: Book, request: ApprovalRequest, state: str) -> None:
    ApprovalRequest.objects.filter(pk=request.pk, state="open").update(
        state=state, decided_at=book.now
    )


def _follow(
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
            _plan_decided(book, decision, actor, reason, after)
        case "effect":
            _effect_decided(book, request, decision, actor, reason, after)
        case "playbook":
            playbook_decided(book, request, decision, actor=actor, payload=payload)


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
    else:
        resume_held(book, request.task_id, actor, after)


def resume_held(book: Book, task_id: int | None, actor: str, after: Followups) -> None:
    """A held task goes on; its queued attempt is published at once."""
    if task_id is not None:
        task_resume(book, task_id, actor=actor, after=after)


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
    changed = plain({**proposal.payload, **payload})
    proposals_move(book, [proposal.pk], ProposalEvent.WITHDRAWN, actor=actor)
    edited = Proposal.objects.create(
        goal_id=proposal.goal_id,
        task_id=proposal.task_id,
        attempt_id=proposal.attempt_id,
        kind=proposal.kind,
        title=proposal.title,
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
        payload={"proposal": edited.pk, "edits": proposal.pk, "hash": edited.payload_hash},
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


def _plan_decided(book: Book, decision: str, actor: str, reason: str, after: Followups) -> None:
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


def approval_expire(request_id: int) -> None:
    """Nobody decided in time. Not a rejection: the ledger and the reason say what it was."""
    goal_id = ApprovalRequest.objects.values_list("goal_id", flat=True).get(pk=request_id)
    after = Followups()
    with goal_locked(goal_id) as book:
        request = ApprovalRequest.objects.select_related("proposal").get(pk=request_id)
        late = request.state == "open" and request.due_at and request.due_at <= book.now
        if not late or book.paused_at is not None:
            return
        _close(book, request, "expired")
        book.record(
            "approval.expired",
            actor="clock",
            task_id=request.task_id,
            payload={"approval": request.pk},
        )
        if request.kind == "plan":
            _plan_decided(book, "reject", "clock", "nobody decided in time", after)
        elif request.task_id is not None:
            _expired(book, request, after)
    after.publish(goal_id)


def _expired(book: Book, request: ApprovalRequest, after: Followups) -> None:
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
