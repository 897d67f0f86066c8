"""Carrying out what was decided about reports and verdicts.

`finish` ends attempts that a worker has just run, many at once; `attempt_settle` goes on when
verifiers that took their time have spoken. Both decide with `domain.settling` and change rows
only through `hotpath` and `moves`, under the goal's lock. What must be sent afterwards comes back
as `Followups`; losing it costs only the time until the next sweep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.hashing import canonical, canonical_of_plain
from orchestration.domain.lives import AttemptEvent, TaskEvent
from orchestration.domain.settling import (
    Accept,
    Ask,
    Disposition,
    Fail,
    Propose,
    Retry,
    Review,
    Verify,
    Yield,
    dispose_ruling,
)
from orchestration.models import Artifact, Attempt, Task
from orchestration.services.appeals import appeal_record
from orchestration.services.ending import look_for_the_end, task_fail
from orchestration.services.followups import Followups
from orchestration.services.holding import proposals_open, review_ask
from orchestration.services.hotpath import Accepted, Claimed, Unlocked, accept, accept_alone
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.moves import attempts_move, tasks_move
from orchestration.services.parking import budget_ask
from orchestration.services.recovery import task_recover
from orchestration.services.requests import request_open, task_requests_withdraw
from orchestration.services.tribunal import policy_told, ruling_of
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


def finish(book: Book, batch: Sequence[Finished]) -> Followups:
    """End the attempts of `batch`. One whose lease was lost meanwhile changes nothing.

    A caller that claims nothing more in the same transaction must `look_for_the_end`.
    """
    after = Followups()
    accepted = [f for f in batch if isinstance(f.disposition, Accept)]
    _accept(book, accepted, after)
    for finished in batch:
        if not isinstance(finished.disposition, Accept):
            _finish_one(book, finished, after)
    return after


def finish_alone(goal_id: int, finished: Finished) -> Followups | None:
    """`finish` of one attempt in one trip to the database; None when that is not how it can end, and
    nothing was written. Not for the last one of a goal's turn: it does not look for the end."""
    report = finished.report
    if not isinstance(finished.disposition, Accept) or report["artifacts"] or "appeal" in report:
        return None
    crashpoint("C10")
    unlocked = accept_alone(
        goal_id,
        _accepted(finished),
        finished.verdicts,
        republish_seconds=settings.AGENTSYS.republish_seconds,
    )
    if unlocked is None:
        return None
    crashpoint("C11")
    return Followups(unlocked=unlocked)


def _accept(book: Book, batch: Sequence[Finished], after: Followups) -> None:
    done, unlocked = accept(
        book,
        [_accepted(f) for f in batch],
        [row for f in batch for row in f.verdicts],
        republish_seconds=settings.AGENTSYS.republish_seconds,
    )
    moved = [f for f in batch if f.claim.task_id in done]
    _artifacts_insert(book, moved)
    for finished in moved:
        _appeal_record(book, finished)
    after.unlocked += unlocked


def _accepted(finished: Finished) -> Accepted:
    why: dict[str, Any] = policy_told(finished.report)
    why["verdicts"] = {v.verifier: str(v.draft.outcome) for v in finished.verdicts if v.draft}
    return Accepted(
        task_id=finished.claim.task_id,
        attempt_id=finished.claim.attempt_id,
        fence=finished.claim.fence,
        artifact_hash=finished.artifact_hash,
        report=canonical_of_plain(finished.report),
        why=why,
        **_spent(finished.report),
    )


def _spent(report: Mapping[str, Any]) -> dict[str, Any]:
    usage = report.get("usage") or {}
    return {
        "tokens": usage.get("input_tokens", 0) + usage.get("output_tokens", 0),
        "cost_usd": usage.get("cost_usd", 0.0),
    }


def _artifacts_insert(book: Book, batch: Sequence[Finished]) -> None:
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
            if not _requeue(book, claim, TaskEvent.HELD, after):
                return
            if question.get("kind") == "budget":
                task = Task.objects.get(pk=claim.task_id)
                facts = question.get("facts") or {}
                budget_ask(book, task, claim.attempt_id, question["text"], facts)
            else:
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
                _end_or_retry(book, claim.task_id, claim.attempt_id, disposition, after)
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
    verification.verdicts_insert(finished.verdicts)
    _artifacts_insert(book, [finished])
    _appeal_record(book, finished)
    if isinstance(disposition, Verify):
        after.verify.append((claim.attempt_id, disposition.pairs))
    else:
        carry_out(book, claim.task_id, claim.attempt_id, disposition, after)


def _appeal_record(book: Book, finished: Finished) -> None:
    claim = finished.claim
    ids = {"task_id": claim.task_id, "attempt_id": claim.attempt_id}
    appeal_record(book, finished.report, actor=_worker(claim), **ids)


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
        attempt_decide(book, attempt, after, actor=VERIFIERS)
    crashpoint("C14")
    return after


def attempt_decide(book: Book, attempt: Attempt, after: Followups, *, actor: str) -> None:
    """Act on what the verdicts of a reported attempt say by now, if they decide.

    A task that waits for a person to look goes on waiting while they do not; when they do, the question is
    withdrawn.
    """
    disposition, held = decide(attempt), attempt.task.state == "held"
    if disposition is None or (held and isinstance(disposition, Review)):
        return
    if held:
        task_requests_withdraw(book, attempt.task_id, actor=actor)
    carry_out(book, attempt.task_id, attempt.pk, disposition, after, actor=actor)
    look_for_the_end(book, after)


def decide(attempt: Attempt) -> Disposition | None:
    """The disposition of a reported attempt; None while verdicts are out."""
    ruling = ruling_of(attempt)
    if ruling.outcome == "pending":
        return None
    return dispose_ruling(ruling, proposes=bool((attempt.report or {}).get("proposals")))


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
        case Propose(asks=asks):
            proposals_open(book, task_id, attempt_id, after, asks=asks)
        case Retry(reason=reason) | Fail(reason=reason):
            decided = disposition.decided if isinstance(disposition, Retry) else {}
            attempts_move(
                book,
                [attempt_id],
                AttemptEvent.REJECTED,
                actor=actor,
                payload={"reason": reason, **decided},
                fields={"reason": reason},
            )
            _end_or_retry(book, task_id, attempt_id, disposition, after)
        case Review(reasons=reasons, decided=decided):
            review_ask(book, task_id, attempt_id, reasons, decided)
        case Verify() | Ask() | Yield():
            raise AssertionError(f"{disposition} does not follow from verdicts")


def accept_reported(
    book: Book, task_id: int, attempt_id: int, after: Followups, *, actor: str
) -> bool:
    """A reported attempt counts; its task is done and what depends on it may start."""
    attempt = Attempt.objects.get(pk=attempt_id)
    views = verification.verdicts_of([attempt_id]).get(attempt_id, [])
    done, unlocked = accept(
        book,
        [
            Accepted(
                task_id=task_id,
                attempt_id=attempt_id,
                fence=attempt.fence,
                artifact_hash=attempt.artifact_hash,
                actor=actor,
                why={
                    **policy_told(attempt.report or {}),
                    "verdicts": {v.verifier: str(v.outcome) for v in views},
                },
            )
        ],
        republish_seconds=settings.AGENTSYS.republish_seconds,
    )
    if task_id not in done:
        return False
    after.unlocked += unlocked
    return True


def _end_or_retry(
    book: Book, task_id: int, attempt_id: int, disposition: Disposition, after: Followups
) -> None:
    match disposition:
        case Retry():
            task_recover(
                book,
                attempt_id,
                failure=disposition.failure,
                reason=disposition.reason,
                after=after,
                wait_seconds=disposition.delay_seconds,
                facts=disposition.facts,
            )
        case Fail(reason=reason):
            task_fail(book, task_id, reason=reason, after=after)
        case _:
            raise AssertionError(f"{disposition} ends nothing")
