"""How several judges together compare with a plain majority and with the best of them.

Everything is measured on items that it was not fitted on: the items are halved at random, weights
and the choice of the best judge come from one half, figures from the other, and the other way
round; that `splits` times.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verification.domain.consensus import (
    Weights,
    consensus,
    majority,
    weights_fit,
)
from verification.domain.recordings import Recording
from verification.domain.scoring import score

SPLITS = 20
ITEMS_MIN = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """Means over the held-out halves. `precision_low` and `precision_high` are the worst and best
    split's; `coverage` is the fraction of items that got an answer."""

    precision: float
    precision_low: float
    precision_high: float
    coverage: float


@dataclass(frozen=True, slots=True)
class PanelReport:
    """`weights` are those of all items: what a consensus that uses this record would weigh with.
    `best` names the judge that was chosen most often."""

    panel: str
    judges: int
    items: int
    effective_votes: float
    best: str
    rules: Mapping[str, Rule]
    weights: Mapping[str, float]
    alike: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Fit:
    best: str
    weights: Weights
    careful: float


@dataclass
class _Tally:
    right: int = 0
    answered: int = 0
    items: int = 0

    def add(self, answer: str | None, gold: str) -> None:
        self.items += 1
        self.answered += answer is not None
        self.right += answer == gold

    @property
    def precision(self) -> float:
        return self.right / self.answered if self.answered else 0.0


def panel_report(
    name: str,
    recordings: Sequence[Recording],
    panel: Sequence[str],
    *,
    splits: int = SPLITS,
    seed: int = 0,
) -> PanelReport:
    """ValueError with fewer than ITEMS_MIN items, or golds that are not of two kinds."""
    if len(recordings) < ITEMS_MIN:
        raise ValueError(f"{len(recordings)} items are too few to fit and to check; {ITEMS_MIN} do")
    tallies: dict[str, list[_Tally]] = {}
    chosen: list[str] = []
    for split in range(splits):
        halves = _halves(recordings, random.Random(f"{seed}/{split}"))  # noqa: S311 - no secret
        said: dict[str, _Tally] = {}
        for fitted_on, held_out in (halves, halves[::-1]):
            fit = _fit(fitted_on, panel)
            chosen.append(fit.best)
            for recording in held_out:
                for rule, answer in _answers(recording, panel, fit).items():
                    said.setdefault(rule, _Tally()).add(answer, recording.gold)
        for rule, tally in said.items():
            tallies.setdefault(rule, []).append(tally)
    whole = weights_fit(recordings, panel)
    return PanelReport(
        panel=name,
        judges=len(panel),
        items=len(recordings),
        effective_votes=whole.effective_votes,
        best=max(sorted(set(chosen)), key=chosen.count),
        rules={rule: _rule(counted) for rule, counted in tallies.items()},
        weights=whole.of,
        alike=whole.alike,
    )


def best_of(recordings: Sequence[Recording], panel: Sequence[str]) -> str:
    """The judge with the most right answers, and of those the one with the fewest wrong ones."""

    def worth(judge: str) -> tuple[int, int]:
        figures = score(judge, recordings)
        return figures.correct, -figures.answered

    return max(panel, key=worth)


def _halves(
    recordings: Sequence[Recording], dice: random.Random
) -> tuple[list[Recording], list[Recording]]:
    """Each gold is halved by itself, so that neither half lacks one."""
    halves: tuple[list[Recording], list[Recording]] = ([], [])
    for gold in sorted({r.gold for r in recordings}):
        same = [r for r in recordings if r.gold == gold]
        dice.shuffle(same)
        middle = len(same) // 2
        halves[0].extend(same[:middle])
        halves[1].extend(same[middle:])
    return halves


def _fit(recordings: Sequence[Recording], panel: Sequence[str]) -> _Fit:
    """What is learned from one half. `careful` is the confidence from which the consensus answers
    on as many items as the best judge does."""
    best, weights = best_of(recordings, panel), weights_fit(recordings, panel)
    sure = sorted(
        (consensus(weights, _votes(r, panel)).confidence for r in recordings), reverse=True
    )
    answered = sum(r.answer(best) is not None for r in recordings)
    return _Fit(best, weights, sure[max(0, answered - 1)])


def _votes(recording: Recording, panel: Sequence[str]) -> dict[str, str | None]:
    return {judge: recording.answer(judge) for judge in panel}


def _answers(recording: Recording, panel: Sequence[str], fit: _Fit) -> dict[str, str | None]:
    votes, weights = _votes(recording, panel), fit.weights
    return {
        "best judge": votes[fit.best],
        "majority": majority(votes, panel),
        "consensus": consensus(weights, votes).answer,
        "consensus, as careful as the best judge": consensus(
            weights, votes, confidence_min=fit.careful
        ).answer,
        "consensus, backed": consensus(weights, votes, backed=True).answer,
    }


def _rule(splits: Sequence[_Tally]) -> Rule:
    precisions = [tally.precision for tally in splits]
    return Rule(
        precision=sum(precisions) / len(precisions),
        precision_low=min(precisions),
        precision_high=max(precisions),
        coverage=sum(t.answered / t.items for t in splits) / len(splits),
    )
