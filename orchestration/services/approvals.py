"""Approvals: questions that wait for people, and how they are decided.

A request waits as a row and costs nothing meanwhile. A decision is one row per person and
request, bound by hash to what was shown; it is final. Agents have no way to decide. The database
refuses, whoever writes: a second decision of one person, one on a request that is closed or of other
bytes, and, where four eyes are wanted, one by whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode, NotFound
from agentsys.kernel.hashing import plain
from orchestration.models import ApprovalRequest, Decision, Membership
from orchestration.services import configuring
from orchestration.services.consequences import expire, follow, plan_decided
from orchestration.services.editing import edit_check
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.tribunal import approval_problems

DECIDERS = ("approver", "admin")


class AlreadyDecided(AgentsysError):
    """The request is closed, or this person has decided on it before."""

    code = "already-decided"
    template = "approval-{id} is {state}; nothing was changed"
    exit_code = ExitCode.CONFLICT


OVERRIDING = (  # why not, of who may not
    "it needs the permission `override_verdict`, which superusers have; a command takes `--user NAME`"
)


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
            follow(book, request, decision, user.get_username(), reason, payload, after)
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
    if decision == "edit" and request.proposal:
        edit_check(request.proposal, payload or {})


def decider_refusal(request: ApprovalRequest, user: User) -> str:
    """Why this person may not decide on the request, whatever they would say; "" when they may."""
    try:
        _check_person(request, user)
    except NotAllowed as error:
        return str(error.context["why"])
    return ""


def _check_person(request: ApprovalRequest, user: User) -> None:
    name, what = user.get_username(), f"decide approval-{request.pk}"
    role = (
        Membership.objects.filter(project_id=request.goal.project_id, user=user)
        .values_list("role", flat=True)
        .first()
    )
    entitled = user.is_superuser or role in DECIDERS
    entitled = entitled or user.has_perm("agentsys_orchestration.decide_approval")
    if not user.is_active or not entitled:
        raise NotAllowed(user=name, what=what, why="not an approver of this project")
    if not _is_of_the_roles(request, user, role):
        raise NotAllowed(user=name, what=what, why=f"it takes one of {', '.join(request.roles)}")
    if why := configuring.decider_problem(request.proposal, user, role):
        raise NotAllowed(user=name, what=what, why=why)
    if request.four_eyes and request.requested_by == name:
        raise NotAllowed(user=name, what=what, why="it takes a second pair of eyes")


def _is_of_the_roles(request: ApprovalRequest, user: User, role: str | None) -> bool:
    """A role is one in the project, or a group of people. Once a request is escalated, the project's
    administrators may decide it, too."""
    if not request.roles or user.is_superuser:
        return True
    if role in request.roles or (role == "admin" and request.escalated_at is not None):
        return True
    return user.groups.filter(name__in=request.roles).exists()


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


def approval_expire(request_id: int) -> None:
    """Nobody decided in time. Not a rejection: the ledger and the reason say what it was.

    A request that is to be escalated first waits as long once more, for administrators too.
    """
    goal_id = ApprovalRequest.objects.values_list("goal_id", flat=True).get(pk=request_id)
    after = Followups()
    with goal_locked(goal_id) as book:
        request = ApprovalRequest.objects.select_related("proposal").get(pk=request_id)
        late = request.state == "open" and request.due_at and request.due_at <= book.now
        if not late or book.paused_at is not None:
            return
        if request.on_expiry == "escalate" and request.escalated_at is None:
            _escalate(book, request)
            return
        _close(book, request, "expired")
        book.record(
            "approval.expired",
            actor="clock",
            task_id=request.task_id,
            payload={"approval": request.pk},
        )
        if request.kind == "plan":
            plan_decided(book, "reject", "clock", "nobody decided in time", after)
        elif request.task_id is not None:
            expire(book, request, after)
    after.publish(goal_id)


def _escalate(book: Book, request: ApprovalRequest) -> None:
    due_at = book.now + timedelta(seconds=request.patience_seconds)
    ApprovalRequest.objects.filter(pk=request.pk, state="open").update(
        escalated_at=book.now, due_at=due_at
    )
    book.record(
        "approval.escalated",
        actor="clock",
        task_id=request.task_id,
        payload={"approval": request.pk, "due_at": due_at.isoformat()},
    )
