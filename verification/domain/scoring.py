"""How good a judge is, on items whose right answer is known. Fractions are in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from verification.domain.recordings import Recording

Says = Callable[[Recording], str | None]
Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`; `value` is None where there is nothing to count."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        return self.hits / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Score:
    """What a judge was worth on `items` items.

    `precision` is right answers of those given, with its 95 % interval by Wilson; `recall` is right
    answers of all items; `abstention` is items without an answer, `unsteady` those on which the
    answer turned with the order of presentation. `agreement` is how often another judge that
    answered too said the same. `calls` and `cost_usd` are means per item. `answers` has precision
    and recall of each answer by itself, such as of `fail`.
    """

    judge: str
    items: int
    answered: int
    correct: int
    precision: float | None
    precision_low: float
    precision_high: float
    recall: float
    abstention: float
    unsteady: float
    agreement: float | None
    calls: float
    cost_usd: float | None
    answers: Mapping[str, Mapping[str, float | None]]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def score(judge: str, recordings: Sequence[Recording], others: Sequence[str] = ()) -> Score:
    """The figures of a judge on the items that it was asked about."""
    asked = [r for r in recordings if judge in r.votes]
    costs = [r.cost_usd[judge] for r in asked if judge in r.cost_usd]
    calls = sum(len(r.votes[judge]) for r in asked) / len(asked) if asked else 0.0
    return scored(
        judge,
        asked,
        lambda recording: recording.answer(judge),
        unsteady=sum(_is_unsteady(r.votes[judge]) for r in asked),
        agreement=_agreement(judge, asked, others),
        calls=calls,
        cost_usd=sum(costs) / len(costs) if costs else None,
    )


def scored(
    judge: str,
    recordings: Sequence[Recording],
    says: Says,
    *,
    unsteady: int = 0,
    agreement: float | None = None,
    calls: float = 0.0,
    cost_usd: float | None = None,
) -> Score:
    """The figures of anything that answers, such as a rule over several judges."""
    pairs = [(says(r), r.gold) for r in recordings]
    right = Share(sum(a == gold for a, gold in pairs), sum(a is not None for a, _ in pairs))
    low, high = wilson(right.hits, right.of)
    items = len(pairs)
    return Score(
        judge=judge,
        items=items,
        answered=right.of,
        correct=right.hits,
        precision=right.value,
        precision_low=low,
        precision_high=high,
        recall=right.hits / items if items else 0.0,
        abstention=1 - right.of / items if items else 0.0,
        unsteady=unsteady / items if items else 0.0,
        agreement=agreement,
        calls=calls,
        cost_usd=cost_usd,
        answers=_by_answer(pairs),
    )


def wilson(hits: int, of: int, z: float = Z95) -> tuple[float, float]:
    """The interval in which the true fraction lies; (0, 1) when nothing was counted.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    if not of:
        return 0.0, 1.0
    p = hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def _by_answer(
    pairs: Sequence[tuple[str | None, str]],
) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for answer in sorted({gold for _, gold in pairs}):
        hits = sum(a == answer == gold for a, gold in pairs)
        found[answer] = {
            "precision": Share(hits, sum(a == answer for a, _ in pairs)).value,
            "recall": Share(hits, sum(gold == answer for _, gold in pairs)).value,
        }
    return found


def _is_unsteady(given: Sequence[str | None]) -> bool:
    return len({answer for answer in given if answer is not None}) > 1


def _agreement(judge: str, recordings: Sequence[Recording], others: Sequence[str]) -> float | None:
    same = both = 0
    for recording in recordings:
        mine = recording.answer(judge)
        theirs = [recording.answer(other) for other in others if other != judge]
        if mine is not None:
            both += sum(answer is not None for answer in theirs)
            same += sum(answer == mine for answer in theirs)
    return Share(same, both).value
