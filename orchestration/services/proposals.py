"""Applying what was approved: merging changes into the goal's branch, running actions.

Approving never applies. `proposal_apply` checks again, right before it acts, that the proposal is
approved, its bytes are the ones that were approved, and its goal is still running. The act itself
happens outside any transaction, between an intent and its confirmation:

- A change is merged and tested before the branch moves (`merging`). Its commit stands in a trailer,
  which tells after a crash that it was done. One that does not go with what came in since has lost
  (`conflicts`).
- A setting is changed in the transaction that records it (`configuring`).
- An action is an effect with a key of its own. A crash between intent and confirmation leaves it
  in doubt, and a person is asked; it is never run again blindly.

Whoever applies holds an advisory lock of the proposal's number meanwhile, so that a doubled message
does not take an action that is still running for one that broke off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import AgentsysError, BadInput, NotFound
from agentsys.kernel.hashing import digest
from orchestration.domain.lives import AttemptEvent, ProposalEvent
from orchestration.domain.merging import Clash, Halted, Impossible, InBranch, NotNow
from orchestration.models import ApprovalRequest, Attempt, Proposal, Task
from orchestration.services import configuring
from orchestration.services.applying import action_failed, applied
from orchestration.services.conflicts import conflict_settle
from orchestration.services.displacing import displaced_record
from orchestration.services.ending import attempt_refuse, task_fail
from orchestration.services.followups import Followups
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.merging import change_merge
from orchestration.services.moves import attempts_move, proposals_move
from orchestration.services.owners import decided_for_owners, foreign_to
from orchestration.services.requests import request_open
from verification import services as verification
from workers.actions import Action, EffectInDoubt, action_apply
from workers.services import effect_get
from workers.workspaces import scratch

log = structlog.get_logger(__name__)

BUSY_SECONDS = 120.0
APPLY_LOCK = 0x616A  # advisory locks (class, proposal id)
GIVE_UP_SECONDS = 600.0  # a merge that cannot be made for so long since it was approved


def proposal_apply(proposal_id: int) -> str:
    """Apply an approved proposal; returns its state afterwards. Safe to call twice."""
    with _alone(proposal_id) as alone:
        proposal = _take(proposal_id, alone=alone)
        if proposal is None:
            return str(Proposal.objects.values_list("state", flat=True).get(pk=proposal_id))
        if proposal.kind == "change":
            return _merge(proposal)
        if proposal.kind == configuring.KIND:
            return _configure(proposal)
        return _act(proposal)


@contextmanager
def _alone(proposal_id: int) -> Iterator[bool]:
    """True while no other process or thread applies this proposal."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [APPLY_LOCK, proposal_id])
        (alone,) = cursor.fetchone()
    try:
        yield alone
    finally:
        if alone:
            # A connection that broke took the lock with it.
            with suppress(OperationalError, InterfaceError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [APPLY_LOCK, proposal_id])


def _take(proposal_id: int, *, alone: bool) -> Proposal | None:
    """The proposal if it may be applied now; pushes its next publish beyond the time that takes.

    A process that was stopped in the middle keeps its connection, and the lock with it: after the
    longest time that its work may take it is not waited for. What it did is on record as an effect
    or stands in the branch, so that nothing happens twice should it go on after all.
    """
    goal_id = Proposal.objects.filter(pk=proposal_id).values_list("goal_id", flat=True).first()
    if goal_id is None:
        raise NotFound(kind="proposal", id=proposal_id, listing="inbox list")
    with goal_locked(goal_id) as book:
        proposal = Proposal.objects.select_related("goal", "task").get(pk=proposal_id)
        stands_still = book.paused_at or proposal.task.paused_at
        if proposal.state != "approved" or book.goal_state != "running" or stands_still:
            return None
        if not alone and not _is_overdue(proposal, book.now):
            return None
        if digest(proposal.payload) != proposal.payload_hash:
            proposals_move(
                book,
                [proposal_id],
                ProposalEvent.WITHDRAWN,
                payload={"reason": "its bytes are not the approved ones"},
            )
            return None
        busy = book.now + timedelta(seconds=BUSY_SECONDS)
        Proposal.objects.filter(pk=proposal_id).update(apply_due_at=busy, apply_taken_at=book.now)
    return proposal


_ABANDONED = """
SELECT p.id FROM agentsys_orchestration_proposal p
JOIN agentsys_orchestration_goal g ON g.id = p.goal_id
JOIN agentsys_orchestration_task t ON t.id = p.task_id
WHERE p.state = 'approved' AND p.apply_due_at = p.apply_taken_at + make_interval(secs => %(busy)s)
  AND g.state = 'running' AND g.paused_at IS NULL AND t.paused_at IS NULL
  AND NOT EXISTS (
    SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted
    AND l.classid = %(class)s AND l.objid = p.id
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY p.id
"""


def proposals_abandoned() -> list[int]:
    """Ids of those that were taken, and whose process is gone: still due when `_take` said, with
    nobody holding their lock."""
    with connection.cursor() as cursor:
        cursor.execute(_ABANDONED, {"busy": BUSY_SECONDS, "class": APPLY_LOCK})
        return [row[0] for row in cursor.fetchall()]


def _is_overdue(proposal: Proposal, now: datetime) -> bool:
    """Was it begun so long ago that whoever did must have been stopped?"""
    taken_at = proposal.apply_taken_at
    try:
        longest = Action.of(proposal.payload).timeout_seconds
    except BadInput:  # a change, whose tests run, or nothing that can be carried out
        longest = verification.busy_seconds("execution")
    return taken_at is not None and taken_at + timedelta(seconds=longest + BUSY_SECONDS) <= now


def _is_withdrawn(proposal: Proposal) -> bool:
    """Looked at once more right before the effect: this process may have been stopped since it took
    the proposal, and its goal cancelled meanwhile."""
    return not Proposal.objects.filter(pk=proposal.pk, state="approved").exists()


def _merge(proposal: Proposal) -> str:
    match change_merge(proposal):
        case InBranch(result=result):
            crashpoint("C17")
            displaced_record(proposal, result.get("displaced") or ())
            return _applied(proposal, result)
        case NotNow(reason=reason):
            Task.objects.filter(pk=proposal.task_id, state="verifying").update(reason=reason[:2000])
            return _later(proposal, reason)
        case Halted():
            return _let_go(proposal)
        case Impossible(reason=reason):
            return _unmergeable(proposal, reason)
        case Clash() as clash:
            return conflict_settle(proposal, clash)


def _let_go(proposal: Proposal) -> str:
    """It was withdrawn, or it stands still; then whoever lets it go on makes it due."""
    Proposal.objects.filter(pk=proposal.pk, state="approved").update(apply_taken_at=None)
    return str(Proposal.objects.values_list("state", flat=True).get(pk=proposal.pk))


def _later(proposal: Proposal, reason: str) -> str:
    """Nothing was done: it stays approved and is tried again."""
    due = timezone.now() + timedelta(seconds=settings.AGENTSYS.republish_seconds)
    Proposal.objects.filter(pk=proposal.pk, state="approved").update(
        apply_due_at=due, apply_taken_at=None, reason=reason
    )
    return "approved"


def _unmergeable(proposal: Proposal, reason: str) -> str:
    """Somebody may be mending it, so it is tried for a while; then its task has failed."""
    after = Followups()
    with goal_locked(proposal.goal_id) as book:
        since = proposal.decided_at or book.now
        if book.now - since < timedelta(seconds=GIVE_UP_SECONDS):
            Task.objects.filter(pk=proposal.task_id, state="verifying").update(reason=reason[:2000])
            return _later(proposal, reason)
        said = f"the approved change cannot be merged: {reason}"
        moved = proposals_move(
            book,
            [proposal.pk],
            ProposalEvent.STALED,
            payload={"reason": said},
            fields={"reason": said, "apply_due_at": None},
        )
        if moved:
            attempts_move(
                book,
                [proposal.attempt_id],
                AttemptEvent.REJECTED,
                payload={"reason": said},
                fields={"reason": said},
            )
            task_fail(book, proposal.task_id, reason=said, after=after)
    after.publish(proposal.goal_id)
    return "stale"


def _configure(proposal: Proposal) -> str:
    """Change the setting, in the transaction that says so. One whose base moved begins anew, with the
    reason, and people are asked about what it then is."""
    after = Followups()
    with goal_locked(proposal.goal_id) as book:
        if _is_withdrawn(proposal) or book.goal_state != "running" or book.paused_at:
            return _let_go(proposal)
        if reason := configuring.refusal(book.project_id, proposal):
            _begin_anew(book, proposal, reason, after)
            state = "stale"
        else:
            told = {name: proposal.payload[name] for name in ("setting", "old", "new")}
            by = configuring.approvers(proposal)
            where = {"task_id": proposal.task_id, "attempt_id": proposal.attempt_id}
            facts = {"proposal": proposal.pk, **told}
            book.record("setting.changed", actor=by, payload=facts, **where)
            applied(book, proposal, told, after)
            configuring.change(
                book.project_id, proposal
            )  # last: what it caches is of a version that is
            state = "applied"
    after.publish(proposal.goal_id)
    return state


def _begin_anew(book: Book, proposal: Proposal, reason: str, after: Followups) -> None:
    """What was approved is no longer what it was approved as: nothing was done."""
    moved = proposals_move(
        book,
        [proposal.pk],
        ProposalEvent.STALED,
        payload={"reason": reason},
        fields={"reason": reason, "apply_due_at": None},
    )
    if moved:
        attempt = Attempt.objects.select_related("task").get(pk=proposal.attempt_id)
        attempt_refuse(book, attempt, reason=reason, after=after, forgiven=True)


def _not_for_owners(proposal: Proposal) -> str:
    """Why an action is not carried out yet: others own by now what it reaches, and nobody decided for
    them. One that was begun is not looked at again: what becomes of it is to be found out."""
    if effect_get(f"proposal-{proposal.pk}") is not None:
        return ""
    foreign = foreign_to(proposal, proposal.task, "", proposal.goal.project_id)
    if not foreign or decided_for_owners(proposal, foreign):
        return ""
    named = ", ".join(f"{t.path} ({t.owner.role} owns {t.owner.resource})" for t in foreign[:5])
    return f"others own by now what it reaches, and nobody decided in their name: {named}"


def _act(proposal: Proposal) -> str:
    if _is_withdrawn(proposal):
        return "withdrawn"
    if reason := _not_for_owners(proposal):
        after = Followups()
        with goal_locked(proposal.goal_id) as book:
            _begin_anew(book, proposal, reason, after)
        after.publish(proposal.goal_id)
        return str(Proposal.objects.values_list("state", flat=True).get(pk=proposal.pk))
    attempt = Attempt.objects.get(pk=proposal.attempt_id)
    try:
        with scratch("action") as folder:
            result = action_apply(
                proposal.payload,
                key=f"proposal-{proposal.pk}",
                attempt_id=attempt.pk,
                fence=attempt.fence,
                workspace=folder,
            )
    except EffectInDoubt as doubt:
        return _in_doubt(proposal, str(doubt))
    except AgentsysError as error:
        return _action_failed(proposal, {"error": str(error), "code": error.code})
    if result.get("exit_code", 0) != 0:
        return _action_failed(proposal, result)
    return _applied(proposal, result)


def _applied(proposal: Proposal, result: dict[str, Any]) -> str:
    after = Followups()
    with goal_locked(proposal.goal_id) as book:
        applied(book, proposal, result, after)
    after.publish(proposal.goal_id)
    return "applied"


def _action_failed(proposal: Proposal, result: dict[str, Any]) -> str:
    after = Followups()
    with goal_locked(proposal.goal_id) as book:
        action_failed(book, proposal, result, after)
    after.publish(proposal.goal_id)
    return "stale"


def _in_doubt(proposal: Proposal, what: str) -> str:
    """Nobody knows whether it happened: a person finds out, nothing is run again."""
    with goal_locked(proposal.goal_id) as book:
        if book.goal_state != "running" or _is_withdrawn(proposal):
            return "withdrawn"
        asked = ApprovalRequest.objects.filter(proposal=proposal, kind="effect", state="open")
        if asked.exists():
            return "approved"
        Proposal.objects.filter(pk=proposal.pk).update(apply_due_at=None, reason=what)
        request_open(
            book,
            kind="effect",
            question=f"Did this happen? {proposal.title}: {what}",
            context={"payload": proposal.payload},
            risk="irreversible",
            task_id=proposal.task_id,
            attempt_id=proposal.attempt_id,
            proposal=proposal,
            allowed=("approve", "reject"),
            definition=proposal.task.definition,
        )
    return "approved"
