"""The scoreboard: how good each verifier was, whom to believe, and how a panel's votes weigh.

A verifier whose precision on a measured set falls below its floor is demoted to advisory, by itself;
only a person takes it back, with a reason, until a newer measurement says the same again. What is
advisory is read by every worker and kept for a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import digest
from verification.contracts import VerdictOutcome
from verification.domain.consensus import Weights
from verification.domain.panels import PanelReport
from verification.domain.recordings import Recording
from verification.domain.scoring import Score
from verification.models import Panel, Scorecard, Standing, Trust
from verification.verifiers import registry

FRESH_SECONDS = 5.0
ANSWERS_MIN = 20  # fewer say nothing about a verifier
PANELS_MAX = 20


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the scoreboard. `precision` and what follows it are the newest measurement's."""

    verifier: str
    kind: str
    state: str
    reason: str
    by: str
    source: str
    items: int
    precision: float | None
    figures: Mapping[str, Any]


def data_hash(recordings: Sequence[Recording]) -> str:
    """Names a set of items with all verdicts on them, whatever their order."""
    return digest(sorted([r.item, r.gold, sorted(r.votes.items())] for r in recordings))


def scores_store(
    scores: Iterable[Score],
    *,
    source: str,
    data_hash: str,
    by: str,
    floor: float | None = None,
) -> list[str]:
    """Keep measurements, and demote who is below the floor (AGENTSYS_VERIFIER_FLOOR by default).

    Returns the names that were demoted by this. Measuring the same set again changes nothing.
    """
    least = settings.AGENTSYS.verifier_floor if floor is None else floor
    demoted = []
    for score in sorted(scores, key=lambda score: score.judge):
        with transaction.atomic():
            card, is_new = Scorecard.objects.get_or_create(
                verifier=score.judge,
                data_hash=data_hash,
                defaults={
                    "source": source,
                    "items": score.items,
                    "answered": score.answered,
                    "correct": score.correct,
                    "figures": score.to_json(),
                    "measured_by": by,
                },
            )
            if is_new and _falls_below(card, least) and _state(score.judge) is Trust.TRUSTED:
                _stand(score.judge, Trust.ADVISORY, _why(card, least), "scoreboard", card)
                demoted.append(score.judge)
    forget()
    return demoted


def panels_store(
    reports: Iterable[PanelReport], *, source: str, data_hash: str, golds: Sequence[str], by: str
) -> None:
    negative, positive = sorted(golds)
    for report in reports:
        Panel.objects.get_or_create(
            name=report.panel,
            data_hash=data_hash,
            defaults={
                "source": source,
                "items": report.items,
                "positive": positive,
                "negative": negative,
                "weights": dict(report.weights),
                "effective_votes": report.effective_votes,
                "alike": report.alike,
                "figures": report.to_json()["rules"],
                "measured_by": by,
            },
        )


def standing_set(verifier: str, state: str, *, by: str, reason: str) -> Standing:
    """A person's word on whether a verifier is believed. BadInput for a name that is neither a
    verifier nor was measured, and without a reason."""
    problems = []
    known = {*registry.names(), *Scorecard.objects.values_list("verifier", flat=True)}
    if verifier not in known:
        problems.append(f"there is no verifier `{verifier}`; there are {', '.join(sorted(known))}")
    if not reason.strip():
        problems.append("there is no reason; say what was looked at")
    if problems:
        raise BadInput(what="verifier", problems=problems)
    made = _stand(verifier, Trust(state), reason.strip(), by, None)
    forget()
    return made


def scoreboard() -> list[Place]:
    """Every verifier there is, and every judge that was measured, by name."""
    cards = {
        c.verifier: c for c in Scorecard.objects.order_by("verifier", "-id").distinct("verifier")
    }
    stands = _standings()
    kinds = registry.kinds()
    return [
        _place(name, str(kinds.get(name, "judge")), cards.get(name), stands.get(name))
        for name in sorted({*kinds, *cards, *stands})
    ]


def advisory_names() -> frozenset[str]:
    """Names of verifiers that are heard and do not decide; at most FRESH_SECONDS old."""
    return _known().advisory


def panels_measured() -> tuple[Weights, ...]:
    """Weights of judges that were measured on passes and fails, the newest first."""
    return _known().panels


def forget() -> None:
    """The next look-up reads the rows again."""
    global _kept
    _kept = None


@dataclass(frozen=True, slots=True)
class _Known:
    advisory: frozenset[str]
    panels: tuple[Weights, ...]
    until: float  # time.monotonic()


_kept: _Known | None = None


def _known() -> _Known:
    global _kept
    kept, now = _kept, time.monotonic()
    if kept is None or kept.until < now:
        advisory = frozenset(n for n, s in _standings().items() if s.state == Trust.ADVISORY)
        _kept = kept = _Known(advisory, tuple(_weights()), now + FRESH_SECONDS)
    return kept


def _weights() -> Iterator[Weights]:
    passes = {"positive": VerdictOutcome.PASS, "negative": VerdictOutcome.FAIL}
    for row in Panel.objects.filter(**passes).order_by("-id")[:PANELS_MAX]:
        yield Weights(
            row.positive, row.negative, row.weights, row.effective_votes, row.items, row.alike
        )


def _standings() -> dict[str, Standing]:
    newest = Standing.objects.order_by("verifier", "-id").distinct("verifier")
    return {standing.verifier: standing for standing in newest}


def _state(verifier: str) -> Trust:
    newest = Standing.objects.filter(verifier=verifier).order_by("-id").first()
    return Trust(newest.state) if newest else Trust.TRUSTED


def _falls_below(card: Scorecard, floor: float) -> bool:
    return card.answered >= ANSWERS_MIN and card.correct < floor * card.answered


def _why(card: Scorecard, floor: float) -> str:
    return (
        f"{card.correct} of {card.answered} answers on {card.source} were right, which is"
        f" {card.correct / card.answered:.1%}, below its floor of {floor:.1%}"
    )


def _stand(verifier: str, state: Trust, reason: str, by: str, card: Scorecard | None) -> Standing:
    return Standing.objects.create(
        verifier=verifier, state=state, reason=reason, by=by, scorecard=card
    )


def _place(name: str, kind: str, card: Scorecard | None, standing: Standing | None) -> Place:
    return Place(
        verifier=name,
        kind=kind,
        state=str(standing.state if standing else Trust.TRUSTED.value),
        reason=standing.reason if standing else "",
        by=standing.by if standing else "",
        source=card.source if card else "",
        items=card.items if card else 0,
        precision=card.precision if card else None,
        figures=card.figures if card else {},
    )
