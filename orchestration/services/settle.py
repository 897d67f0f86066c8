"""Carrying out what was decided about reports and verdicts.

`finish` ends attempts that a worker has just run, many at once; `attempt_settle` goes on when
verifiers that took their time have spoken. Both decide with `domain.settling` and change rows
only through `hotpath` and `moves`, under the goal's lock. What must be sent afterwards comes back
as `Followups`; losing it costs only the time until the next sweep.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection

from agentsys.kernel.hashing import canonical, digest, plain
from orchestration.domain.lives import AttemptEvent, ProposalEvent, TaskEvent
from orchestration.domain.settling import (
    Accept,
    Ask,
    Disposition,
    Fail,
    Patience,
    Propose,
    Retry,
    Review,
    Verify,
    Yield,
    dispose_ruling,
)
from orchestration.models import ApprovalRequest, Artifact, Attempt, Proposal, Task
from orchestration.services import dispatch
from orchestration.services.hotpath import Accepted, Claimed, Unlocked, accept, queue_again, unlock
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import ORCHESTRATOR, attempts_move, proposals_move, tasks_move
from orchestration.services.requests import request_open, task_requests_withdraw
from orchestration.services.scopes import scopes_release
from verification import services as verification
from verification.services import VerdictRow

VERIFIERS = "verifiers"


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that has been run, what it handed in, and what is to become of it."""

    claim: Claimed
    report: dict[str, Any]
    artifact_hash: str
    verdicts: tuple[VerdictRow, ...]  # spoken and still to be spoken
    disposition: Disposition


@dataclass(slots=True)
class Followups:
    """What to send after the commit."""

    unlocked: Unlocked = field(default_factory=Unlocked)
    verify: list[tuple[int, tuple[tuple[str, str], ...]]] = field(default_factory=list)
    apply: list[int] = field(default_factory=list)
    advance: bool = False

    def publish(self, goal_id: int, *, coming: int | None = None) -> None:
        dispatch.publish_unlocked(goal_id, self.unlocked, coming=coming)
        for attempt_id, pairs in self.verify:
            dispatch.publish_verifiers(attempt_id, pairs)
        for proposal_id in self.apply:
            dispatch.send("orchestration.apply", proposal_id)
        if self.advance:
            dispatch.send("orchestration.integrate", goal_id)


def patience_of(definition: Mapping[str, Any], attempts_made: int) -> Patience:
    config = settings.AGENTSYS
    retry = definition.get("retry") or {}
    return Patience(
        attempts_max=retry.get("attempts_max", config.attempts_max),
        attempts_made=attempts_made,
        backoff_seconds=retry.get("backoff_seconds", config.backoff_seconds),
        backoff_max_seconds=config.backoff_max_seconds,
        jitter=random.random(),  # noqa: S311 - spreads retries, protects nothing
    )


def finish(book: Book, batch: Sequence[Finished]) -> Followups:
    """End the attempts of `batch`. One whose lease was lost meanwhile changes nothing."""
    after = Followups()
    accepted = [f for f in batch if isinstance(f.disposition, Accept)]
    _accept(book, accepted, after)
    for finished in batch:
        if not isinstance(finished.disposition, Accept):
            _finish_one(book, finished, after)
    look_for_the_end(book, after)
    return after


def _accept(book: Book, batch: Sequence[Finished], after: Followups) -> None:
    done = accept(
        book,
        [
            Accepted(
                attempt_id=f.claim.attempt_id,
                fence=f.claim.fence,
                report=canonical(f.report),
                artifact_hash=f.artifact_hash,
                **_spent(f.report),
            )
            for f in batch
        ],
    )
    moved = [f for f in batch if f.claim.task_id in done]
    _store(book, moved)
    for f in moved:
        _record_accepted(
            book,
            f.claim.task_id,
            f.claim.attempt_id,
            f.claim.fence,
            f.artifact_hash,
            {v.verifier: str(v.draft.outcome) for v in f.verdicts if v.draft},
        )
    after.unlocked += unlock(
        book, list(done), republish_seconds=settings.AGENTSYS.republish_seconds
    )


def _record_accepted(
    book: Book,
    task_id: int,
    attempt_id: int,
    fence: int,
    artifact_hash: str,
    verdicts: Mapping[str, str],
    actor: str = VERIFIERS,
) -> None:
    book.record(
        "task.accepted",
        actor=actor,
        task_id=task_id,
        attempt_id=attempt_id,
        payload={"fence": fence, "artifact_hash": artifact_hash, "verdicts": dict(verdicts)},
    )


def _spent(report: Mapping[str, Any]) -> dict[str, Any]:
    usage = report.get("usage") or {}
    return {
        "tokens": usage.get("input_tokens", 0) + usage.get("output_tokens", 0),
        "cost_usd": usage.get("cost_usd", 0.0),
    }


def _store(book: Book, batch: Sequence[Finished]) -> None:
    """Verdict and artifact rows of attempts that this worker has just ended."""
    rows = [row for f in batch for row in f.verdicts]
    if rows:
        verification.verdicts_insert(rows)
    artifacts = [
        Artifact(goal_id=book.goal_id, attempt_id=f.claim.attempt_id, **a)
        for f in batch
        for a in f.report["artifacts"]
    ]
    if artifacts:
        Artifact.objects.bulk_create(artifacts, ignore_conflicts=True)


def _finish_one(book: Book, finished: Finished, after: Followups) -> None:
    claim, disposition = finished.claim, finished.disposition
    match disposition:
        case Yield():
            _requeue(book, claim, TaskEvent.YIELDED, after)
            return
        case Ask(question=question):
            if _requeue(book, claim, TaskEvent.HELD, after):
                request_open(
                    book,
                    kind=question.get("kind") or "question",
                    question=question["text"],
                    context={"options": question.get("options") or []},
                    risk=str(question.get("risk", "read")),
                    task_id=claim.task_id,
                    attempt_id=claim.attempt_id,
                    allowed=("respond", "approve", "reject"),
                    definition=claim.definition,
                )
            return
        case Retry(rejected=False) | Fail(rejected=False):
            moved = attempts_move(
                book,
                [claim.attempt_id],
                AttemptEvent.FAILED,
                actor=_worker(claim),
                fence=claim.fence,
                payload={"reason": disposition.reason},
                fields=_handed_in(book, finished) | {"reason": disposition.reason},
            )
            if moved:
                _end_or_retry(book, claim.task_id, disposition, after)
            return
        case _:
            pass
    moved = attempts_move(
        book,
        [claim.attempt_id],
        AttemptEvent.REPORTED,
        actor=_worker(claim),
        fence=claim.fence,
        payload={"artifact_hash": finished.artifact_hash},
        fields=_handed_in(book, finished),
    )
    if not moved:
        return
    tasks_move(book, [claim.task_id], TaskEvent.REPORTED, actor=_worker(claim))
    _store(book, [finished])
    if isinstance(disposition, Verify):
        after.verify.append((claim.attempt_id, disposition.pairs))
    else:
        carry_out(book, claim.task_id, claim.attempt_id, disposition, after)


def _handed_in(book: Book, finished: Finished) -> dict[str, Any]:
    spent = _spent(finished.report)
    return {
        "report": canonical(finished.report),
        "artifact_hash": finished.artifact_hash,
        "reported_at": book.now,
        "lease_until": None,
        "tokens": spent["tokens"],
        "cost_usd": spent["cost_usd"],
    }


def _worker(claim: Claimed) -> str:
    return f"agent:{claim.agent}"


def _requeue(book: Book, claim: Claimed, event: TaskEvent, after: Followups) -> bool:
    """The attempt goes back to the queue with its journal; published at once unless it waits."""
    waits = event is TaskEvent.HELD
    moved = attempts_move(
        book,
        [claim.attempt_id],
        AttemptEvent.YIELDED,
        actor=_worker(claim),
        fence=claim.fence,
        fields={
            "owner": None,
            "lease_until": None,
            "publish_due_at": None if waits else book.now,
        },
    )
    if moved:
        tasks_move(book, [claim.task_id], event, actor=_worker(claim))
        if not waits:
            after.unlocked += Unlocked(agents=((claim.task_id, claim.fence),))
    return bool(moved)


def attempt_settle(attempt_id: int) -> Followups:
    """Decide on a reported attempt now that its verdicts may be complete. Safe to call twice."""
    goal_id = Attempt.objects.values_list("goal_id", flat=True).get(pk=attempt_id)
    after = Followups()
    with goal_locked(goal_id) as book:
        attempt = Attempt.objects.select_related("task").get(pk=attempt_id)
        if attempt.state != "reported" or attempt.task.state != "verifying":
            return after
        if attempt.proposals.exclude(state__in=("stale", "withdrawn")).exists():
            return after  # already accepted by the verifiers: its proposals are what is awaited
        disposition = decide(attempt)
        if disposition is not None:
            carry_out(book, attempt.task_id, attempt_id, disposition, after)
            look_for_the_end(book, after)
    return after


def decide(attempt: Attempt) -> Disposition | None:
    """The disposition of a reported attempt; None while verdicts are out."""
    definition = attempt.task.definition
    views = verification.still_binding(
        verification.verdicts_of([attempt.pk])[attempt.pk],
        spec_hash=attempt.task.definition_hash,
        artifact_hash=attempt.artifact_hash,
    )
    policy = verification.policy_for({**definition, "agent": attempt.task.agent})
    ruling = verification.decide(policy, views, unproven=definition.get("unproven") or "ask")
    if ruling.outcome == "pending":
        return None
    patience = patience_of(definition, attempt.task.attempts_count)
    return dispose_ruling(ruling, patience, proposes=bool((attempt.report or {}).get("proposals")))


def carry_out(
    book: Book,
    task_id: int,
    attempt_id: int,
    disposition: Disposition,
    after: Followups,
    *,
    actor: str = VERIFIERS,
) -> None:
    """Act on a disposition of a reported attempt. The caller holds the goal's lock."""
    match disposition:
        case Accept():
            accept_reported(book, task_id, attempt_id, after, actor=actor)
        case Propose():
            _propose(book, task_id, attempt_id, after)
        case Retry(reason=reason) | Fail(reason=reason):
            attempts_move(
                book,
                [attempt_id],
                AttemptEvent.REJECTED,
                actor=actor,
                payload={"reason": reason},
                fields={"reason": reason},
            )
            _end_or_retry(book, task_id, disposition, after)
        case Review(reasons=reasons):
            _review(book, task_id, attempt_id, reasons)
        case Verify() | Ask() | Yield():
            raise AssertionError(f"{disposition} does not follow from verdicts")


def accept_reported(
    book: Book, task_id: int, attempt_id: int, after: Followups, *, actor: str
) -> bool:
    """A reported attempt counts; its task is done and what depends on it may start."""
    attempt = Attempt.objects.get(pk=attempt_id)
    done = accept(book, [Accepted(attempt_id=attempt_id, fence=attempt.fence)])
    if task_id not in done:
        return False
    views = verification.verdicts_of([attempt_id]).get(attempt_id, [])
    _record_accepted(
        book,
        task_id,
        attempt_id,
        attempt.fence,
        attempt.artifact_hash,
        {v.verifier: str(v.outcome) for v in views},
        actor,
    )
    after.unlocked += unlock(book, [task_id], republish_seconds=settings.AGENTSYS.republish_seconds)
    return True


def _propose(book: Book, task_id: int, attempt_id: int, after: Followups) -> None:
    """Rows for what the attempt proposes; who must approve is policy."""
    task = Task.objects.get(pk=task_id)
    attempt = Attempt.objects.get(pk=attempt_id)
    held = False
    for draft in (attempt.report or {})["proposals"]:
        proposal = Proposal.objects.create(
            goal_id=book.goal_id,
            task_id=task_id,
            attempt_id=attempt_id,
            kind=draft["kind"],
            title=draft["title"][:300],
            payload=plain(draft["payload"]),
            payload_hash=digest(draft["payload"]),
            base_hash=draft["base_hash"],
            risk=draft["risk"],
        )
        book.record(
            "proposal.opened",
            actor=f"agent:{task.agent}",
            task_id=task_id,
            attempt_id=attempt_id,
            payload={"proposal": proposal.pk, "hash": proposal.payload_hash, "risk": proposal.risk},
        )
        if needs_person(proposal, task.definition):
            held = True
            _hold_for_approval(book, proposal, task)
        else:
            proposals_move(
                book,
                [proposal.pk],
                ProposalEvent.APPROVED,
                actor=ORCHESTRATOR,
                payload={"rule": "verified and within its scope"},
                fields={"decided_at": book.now, "apply_due_at": book.now},
            )
            after.apply.append(proposal.pk)
    if held:
        tasks_move(
            book, [task_id], TaskEvent.HELD, fields={"reason": "a proposal waits for approval"}
        )
    else:
        Task.objects.filter(pk=task_id).update(reason="its change is being merged")


def needs_person(proposal: Proposal, definition: Mapping[str, Any]) -> bool:
    """Irreversible things always; others when the task's definition says so."""
    required = (definition.get("approval") or {}).get("required", False)
    return bool(required) or proposal.risk == "irreversible" or proposal.kind != "change"


def _hold_for_approval(book: Book, proposal: Proposal, task: Task) -> ApprovalRequest:
    proposals_move(book, [proposal.pk], ProposalEvent.REVIEW_ASKED)
    return request_open(
        book,
        kind="proposal",
        question=proposal.title,
        context={
            "payload": proposal.payload,
            "kind": proposal.kind,
            "why": task.definition.get("objective", ""),
        },
        risk=proposal.risk,
        task_id=task.pk,
        attempt_id=proposal.attempt_id,
        proposal=proposal,
        allowed=("approve", "edit", "reject", "respond"),
        definition=task.definition,
    )


def _review(book: Book, task_id: int, attempt_id: int, reasons: Sequence[str]) -> None:
    task = Task.objects.get(pk=task_id)
    text = "; ".join(reasons) or "the verdicts do not decide"
    tasks_move(
        book, [task_id], TaskEvent.HELD, fields={"reason": f"a person must look: {text}"[:2000]}
    )
    request_open(
        book,
        kind="verdict",
        question=f"Does the output of {task.key} count? {text}",
        context={"reasons": list(reasons)},
        risk="write",
        task_id=task_id,
        attempt_id=attempt_id,
        allowed=("approve", "reject", "respond"),
        definition=task.definition,
    )


def _end_or_retry(book: Book, task_id: int, disposition: Disposition, after: Followups) -> None:
    match disposition:
        case Retry(reason=reason, delay_seconds=delay):
            task_retry(book, task_id, reason=reason, delay_seconds=delay, after=after)
        case Fail(reason=reason):
            task_fail(book, task_id, reason=reason, after=after)
        case _:
            raise AssertionError(f"{disposition} ends nothing")


def task_retry(
    book: Book,
    task_id: int,
    *,
    reason: str,
    delay_seconds: float,
    after: Followups,
    event: TaskEvent = TaskEvent.RETRIED,
    lineage: str | None = None,
) -> None:
    """A new attempt, due after the delay; its scopes are free meanwhile."""
    moved = tasks_move(
        book,
        [task_id],
        event,
        payload={"reason": reason, "delay_seconds": round(delay_seconds, 3)},
        fields={"reason": reason[:2000]},
    )
    if not moved:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentsys_orchestration_task SET due_at ="
            " CASE WHEN %s > 0 THEN %s + make_interval(secs => %s) END WHERE id = %s"
            " RETURNING fence, lane",
            [delay_seconds, book.now, delay_seconds, task_id],
        )
        fence, lane = cursor.fetchone()
    scopes_release([task_id])
    task_requests_withdraw(book, task_id, actor=ORCHESTRATOR)
    queue_again(
        book, [task_id], republish_seconds=settings.AGENTSYS.republish_seconds, lineage=lineage
    )
    if delay_seconds <= 0:
        ready = (
            Unlocked(agents=((task_id, fence),)) if lane == "agent" else Unlocked(cheap=(task_id,))
        )
        after.unlocked += ready


def task_fail(
    book: Book, task_id: int, *, reason: str, after: Followups, actor: str = ORCHESTRATOR
) -> None:
    """A task that cannot be had. Dependents of an optional one go on without it."""
    moved = tasks_move(
        book,
        [task_id],
        TaskEvent.EXHAUSTED,
        actor=actor,
        payload={"reason": reason},
        fields={"reason": reason[:2000], "due_at": None},
    )
    if not moved:
        return
    scopes_release([task_id])
    task_requests_withdraw(book, task_id, actor=actor)
    if Task.objects.values_list("optional", flat=True).get(pk=task_id):
        after.unlocked += unlock(
            book, [task_id], republish_seconds=settings.AGENTSYS.republish_seconds
        )
    else:
        after.advance = True


def look_for_the_end(book: Book, after: Followups) -> None:
    """Ask for `advance` when no task of the goal is left that could go on by itself."""
    unlocked = after.unlocked
    if unlocked.agents or unlocked.cheap or unlocked.expandable or after.advance:
        return
    moving = Task.objects.filter(
        goal_id=book.goal_id, state__in=("ready", "running", "verifying", "held")
    )
    after.advance = not moving.exists()
