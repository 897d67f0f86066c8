"""What another policy would have decided on attempts that are on record. Reads only.

The verdicts are those that were spoken: a verifier that the other policy requires and that nobody
asked then has said nothing, and such an attempt is `unheard`, not guessed at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import QuerySet

from agentsys.kernel.errors import BadInput
from orchestration.models import Attempt
from orchestration.services.tribunal import matter_of, policy_of, ruling_on
from verification import services as verification
from verification.contracts import Policy, Ruling, RulingOutcome
from verification.services import Stored, VerdictView

PAGE = 200
JUDGED = ("accepted", "rejected", "reported")
UNHEARD = "unheard"


@dataclass(frozen=True, slots=True)
class Change:
    """An attempt on which the other policy decides otherwise. `rule` and `reasons` are its own."""

    goal: int
    task: str
    attempt: int
    was: str
    would: str
    rule: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backtest:
    """`counts` by (was, would); `unheard` by verifier that would have been asked."""

    attempts: int
    counts: Mapping[tuple[str, str], int]
    unheard: Mapping[str, int]
    changed: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        pairs = sorted(self.counts.items())
        return {
            "attempts": self.attempts,
            "counts": [{"was": w, "would": o, "attempts": n} for (w, o), n in pairs],
            "unheard": dict(sorted(self.unheard.items())),
            "changed": [
                {name: getattr(change, name) for name in Change.__slots__}
                for change in self.changed
            ],
        }


def policy_backtest(document: Any, *, project: str | None = None, limit: int = 1000) -> Backtest:
    """The latest `limit` judged attempts, of one project or of all. BadInput for a document that
    could not be put in force."""
    if problems := verification.policy_document_problems(document):
        raise BadInput(what="policy", problems=problems)
    candidate = Stored(-1, document)  # a version that there is not: nothing is written
    counts: Counter[tuple[str, str]] = Counter()
    unheard: Counter[str] = Counter()
    changed = []
    for attempt, views in _judged(project, limit):
        was, policy = _ruling(attempt, policy_of(attempt), views), _under(candidate, attempt)
        if forbidden := verification.forbidden_by(policy, attempt.report or {}):
            bound = matter_of(attempt)
            veto = replace(
                forbidden, spec_hash=bound.spec_hash or "", artifact_hash=bound.artifact_hash or ""
            )
            views = [*(view for view in views if not _is_replaced(view, veto)), veto]
        would = _ruling(attempt, policy, views)
        pair = (_name(was), _name(would))
        counts[pair] += 1
        if would.outcome is RulingOutcome.PENDING:
            unheard.update(set(policy.required) - {view.verifier for view in views})
        if pair[0] != pair[1]:
            changed.append(_change(attempt, pair, would))
    return Backtest(counts.total(), counts, unheard, tuple(changed))


def _is_replaced(view: VerdictView, by: VerdictView) -> bool:
    """A person's word on it stands."""
    return view.verifier == by.verifier and not view.is_overridden


def _judged(project: str | None, limit: int) -> Iterator[tuple[Attempt, list[VerdictView]]]:
    """With their verdicts, the latest first; those on which nobody spoke are left out."""
    rows = Attempt.objects.filter(state__in=JUDGED, report__isnull=False).select_related("task")
    if project is not None:
        rows = rows.filter(goal__project__name=project)
    given = 0
    for page in _pages(rows.order_by("-pk")):
        verdicts = verification.verdicts_of([attempt.pk for attempt in page])
        for attempt in page:
            if given == limit:
                return
            if verdicts[attempt.pk]:
                given += 1
                yield attempt, verdicts[attempt.pk]


def _pages(rows: QuerySet[Attempt]) -> Iterator[list[Attempt]]:
    page = list(rows[:PAGE])
    while page:
        yield page
        page = list(rows.filter(pk__lt=page[-1].pk)[:PAGE])


def _under(candidate: Stored, attempt: Attempt) -> Policy:
    definition = {**attempt.task.definition, "agent": attempt.task.agent}
    own = verification.policy_for(definition)
    return verification.policy_under(candidate, own, definition, attempt.report or {})


def _ruling(attempt: Attempt, policy: Policy, views: list[VerdictView]) -> Ruling:
    matter = replace(matter_of(attempt), round=attempt.number)
    return ruling_on(attempt.task.definition, policy, views, matter)


def _name(ruling: Ruling) -> str:
    return UNHEARD if ruling.outcome is RulingOutcome.PENDING else str(ruling.outcome)


def _change(attempt: Attempt, pair: tuple[str, str], would: Ruling) -> Change:
    return Change(
        goal=attempt.goal_id,
        task=attempt.task.key,
        attempt=attempt.pk,
        was=pair[0],
        would=pair[1],
        rule=str(would.rule),
        reasons=would.reasons,
    )
