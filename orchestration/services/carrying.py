"""Accepted work of one goal as accepted work of another.

Each carried task has an attempt with the report, the artifacts and the verdicts of the one it
comes from, bound to the same hashes; nothing is run or paid for again. Where an attempt was
accepted on a person's word, that word is carried over as an override with its author.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from agentsys.kernel.hashing import canonical
from orchestration.models import Artifact, Attempt, Decision
from orchestration.services.handing_in import Taken, attempts_take
from orchestration.services.hotpath import Accepted, Unlocked, accept, queue_again
from orchestration.services.ledger import Book
from verification import services as verification
from verification.contracts import Kind, VerdictDraft, VerdictOutcome
from verification.services import VerdictRow, VerdictView

_READY = """
UPDATE agentsys_orchestration_task SET state = 'ready', unmet = 0, expands = false
WHERE id = ANY(%s) AND state = 'blocked'
"""

# Carried work was made without these: an optional task that had failed, one that was replaced.
_LET_GO = """
DELETE FROM agentsys_orchestration_dependency
WHERE task_id = ANY(%s) AND NOT needs_id = ANY(%s)
"""


class Carried(NamedTuple):
    """A task of the new goal, and the attempt whose result it takes over."""

    task_id: int
    attempt_id: int


def carry_over(
    book: Book, carried: Sequence[Carried], *, source: int, seq: int, actor: str
) -> Unlocked:
    """Take over what was accepted in goal `source` by its entry `seq`. The tasks are blocked; they
    are done afterwards, and what they unlock is ready."""
    if not carried:
        return Unlocked()
    task_ids = [one.task_id for one in carried]
    with connection.cursor() as cursor:
        cursor.execute(_READY, [task_ids])
        cursor.execute(_LET_GO, [task_ids, task_ids])
    book.record("tasks.unblocked", actor=actor, payload={"tasks": task_ids})
    republish = settings.AGENTSYS.republish_seconds
    queue_again(book, task_ids, republish_seconds=republish)
    taken = attempts_take(book, task_ids, actor=actor, note=f"carried over from goal-{source}")
    origin = {one.task_id: one.attempt_id for one in carried}
    old = Attempt.objects.select_related("task").in_bulk(list(origin.values()))
    views = verification.verdicts_of(list(origin.values()))
    items, rows = [], []
    for one in taken:
        attempt = old[origin[one.task_id]]
        origin_of = {"goal": source, "seq": seq, "task": attempt.task_id, "attempt": attempt.pk}
        spoken = views[attempt.pk]
        items.append(
            Accepted(
                task_id=one.task_id,
                attempt_id=one.attempt_id,
                fence=one.fence,
                artifact_hash=attempt.artifact_hash,
                report=canonical(attempt.report),
                actor=actor,
                why={
                    "verdicts": {v.verifier: str(v.outcome) for v in spoken if v.outcome},
                    "carried_from": origin_of,
                },
            )
        )
        rows += _verdicts(book, one, attempt, spoken)
    done, unlocked = accept(book, items, rows, republish_seconds=republish)
    assert len(done) == len(carried)
    _artifacts(book, taken, origin)
    _words_of_people(taken, origin, views, actor)
    return unlocked


def _verdicts(
    book: Book, taken: Taken, attempt: Attempt, views: Sequence[VerdictView]
) -> list[VerdictRow]:
    """The same words about the same bytes, on the new attempt."""
    spoken = [
        verdict_row(book, taken.attempt_id, view, view.outcome)
        for view in views
        if view.outcome is not None
    ]
    if spoken:
        return spoken
    nobody = VerdictView(
        verifier="schema",
        kind=Kind.SCHEMA,
        outcome=VerdictOutcome.ABSTAIN,
        reasons=("nobody was asked about it",),
        spec_hash=attempt.task.definition_hash,
        artifact_hash=attempt.artifact_hash,
    )
    return [verdict_row(book, taken.attempt_id, nobody, VerdictOutcome.ABSTAIN)]


def verdict_row(
    book: Book, attempt_id: int, view: VerdictView, outcome: VerdictOutcome
) -> VerdictRow:
    """The same words about the same bytes, for another attempt."""
    return VerdictRow(
        attempt_id=attempt_id,
        goal_id=book.goal_id,
        draft=VerdictDraft(
            verifier=view.verifier,
            kind=view.kind,
            outcome=outcome,
            voter=view.voter,
            veto=view.veto,
            score=view.score,
            reasons=view.reasons,
            evidence=view.evidence,
        ),
        verifier=view.verifier,
        voter=view.voter,
        kind=view.kind,
        spec_hash=view.spec_hash,
        artifact_hash=view.artifact_hash,
    )


def _words_of_people(
    taken: Sequence[Taken],
    origin: Mapping[int, int],
    views: Mapping[int, Sequence[VerdictView]],
    actor: str,
) -> None:
    """What did not pass was accepted all the same: a person had said so."""
    approvers = _approvers(list(origin.values()))
    carried = verification.verdicts_of([one.attempt_id for one in taken])
    for one in taken:
        attempt_id = origin[one.task_id]
        said = {
            (v.verifier, v.voter): v.override
            for v in views[attempt_id]
            if v.override is not None and v.override.outcome == VerdictOutcome.PASS
        }
        doubtful = _doubtful(carried[one.attempt_id], attempt_id in approvers)
        for view in carried[one.attempt_id]:
            word = said.get((view.verifier, view.voter))
            if word is None and view not in doubtful:
                continue
            by, reason = approvers.get(attempt_id, actor), ""
            if word is not None:
                by, reason = word.by, f"{word.reason} "
            verification.verdict_override(
                one.attempt_id,
                view.verifier,
                view.voter,
                outcome="pass",
                by=by,
                reason=f"{reason}(carried over from attempt-{attempt_id}, which was accepted)",
            )


def _doubtful(views: Sequence[VerdictView], approved: bool) -> list[VerdictView]:
    """Verdicts that an accepted attempt can only have had with a person's word beside them."""
    failed = [view for view in views if view.outcome is VerdictOutcome.FAIL]
    if failed:
        return failed
    if any(view.outcome is VerdictOutcome.PASS for view in views):
        return list(views[:1]) if approved else []
    return list(views)


def _approvers(attempt_ids: Sequence[int]) -> dict[int, str]:
    """Attempt → who approved what was asked about it."""
    rows = Decision.objects.filter(
        request__attempt_id__in=attempt_ids,
        request__state="approved",
        decision__in=("approve", "edit"),
    )
    pairs = rows.order_by("-pk").values_list("request__attempt_id", "user__username")
    return {attempt: name for attempt, name in pairs if attempt is not None}


def _artifacts(book: Book, taken: Sequence[Taken], origin: Mapping[int, int]) -> None:
    """Rows that point at the same bytes."""
    of: dict[int, list[Artifact]] = defaultdict(list)
    for artifact in Artifact.objects.filter(attempt_id__in=list(origin.values())).order_by("pk"):
        of[artifact.attempt_id].append(artifact)
    Artifact.objects.bulk_create(
        [
            Artifact(
                goal_id=book.goal_id,
                attempt_id=one.attempt_id,
                name=a.name,
                kind=a.kind,
                media_type=a.media_type,
                sha256=a.sha256,
                size=a.size,
            )
            for one in taken
            for a in of[origin[one.task_id]]
        ]
    )
