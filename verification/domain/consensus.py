"""What several judges say together, weighted by how good each was and how alike they err.

Judges that err together are one judge: six models that are fooled by the same trick make a large
majority for it. So votes are not counted but weighed, with weights fitted jointly on recorded items
(logistic regression through the origin, ridge penalty): whoever repeats what others say adds little,
and a judge that is fooled in a regular way weighs against its own answer. A judge without a record
has no weight.

`effective_votes` is how many independent judges a panel is worth where each has the same say: n²/Σρ
over the correlations of their errors, negative ones taken as none (the effective sample size of a
mean). Six judges that always err together are one vote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from verification.domain.recordings import Recording

RIDGE = 2.0
ROUNDS = 400
# Six models of several makers that were asked the same way were worth 1.9 votes on items that are built
# to mislead (docs/verification.md): that is this much between two of them.
ALIKE_UNKNOWN = 0.43
SAME_BELOW = 1e-9  # gradients smaller than this per item have come to rest


@dataclass(frozen=True, slots=True)
class Weights:
    """`positive` and `negative` are the two answers; a judge's weight is in log-odds per answer."""

    positive: str
    negative: str
    of: Mapping[str, float]
    effective_votes: float
    items: int = 0
    alike: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # how alike two err

    def log_odds(self, votes: Mapping[str, str | None]) -> float:
        """Above 0 for `positive`, below for `negative`."""
        sign = {self.positive: 1.0, self.negative: -1.0}
        return sum(w * sign.get(votes.get(judge) or "", 0.0) for judge, w in self.of.items())


@dataclass(frozen=True, slots=True)
class Consensus:
    """`answer` is None where the judges' weights do not decide. `confidence` is in [0.5, 1]."""

    answer: str | None
    confidence: float
    backed_by: tuple[str, ...] = field(default=())


def consensus(
    weights: Weights,
    votes: Mapping[str, str | None],
    *,
    confidence_min: float = 0.5,
    backed: bool = False,
) -> Consensus:
    """What follows from the votes.

    `backed` asks for one judge more: an answer counts only when a judge that is right more often
    than wrong has given it, so that nothing passes only because the wrong ones were against it.
    """
    odds = weights.log_odds(votes)
    confidence = 1 / (1 + math.exp(-min(abs(odds), 500.0)))
    if odds == 0 or confidence < confidence_min:
        return Consensus(None, confidence)
    answer = weights.positive if odds > 0 else weights.negative
    backing = tuple(j for j, w in weights.of.items() if w > 0 and votes.get(j) == answer)
    if backed and not backing:
        return Consensus(None, confidence)
    return Consensus(answer, confidence, backing)


def majority(votes: Mapping[str, str | None], panel: Sequence[str]) -> str | None:
    """What most of those who answered say; None for a tie."""
    heads: dict[str, int] = {}
    for judge in panel:
        if (answer := votes.get(judge)) is not None:
            heads[answer] = heads.get(answer, 0) + 1
    ranked = sorted(heads.values(), reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0] == ranked[1]):
        return None
    return max(heads, key=lambda answer: heads[answer])


def weights_fit(
    recordings: Sequence[Recording], panel: Sequence[str], *, ridge: float = RIDGE
) -> Weights:
    """Weights for the judges of `panel`. ValueError unless the golds are of two kinds."""
    golds = sorted({r.gold for r in recordings})
    if len(golds) != 2:
        raise ValueError(f"weights need items with two different golds, not {golds}")
    negative, positive = golds
    rows = [_row(r, panel, positive, negative) for r in recordings]
    fitted = _ascend(rows, len(panel), ridge)
    alike = errors_alike(recordings, panel)
    return Weights(
        positive=positive,
        negative=negative,
        of=dict(zip(panel, fitted, strict=True)),
        effective_votes=votes_worth(list(alike), alike),
        items=len(recordings),
        alike=alike,
    )


def effective_votes(recordings: Sequence[Recording], panel: Sequence[str]) -> float:
    """Between 1 and the number of judges that answered anything; 0 for an empty panel."""
    alike = errors_alike(recordings, panel)
    return votes_worth(list(alike), alike)


def errors_alike(
    recordings: Sequence[Recording], panel: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Of each two judges that answered anything the correlation of their errors; a judge has one entry
    even where it is alone."""
    errors = {judge: _errors(recordings, judge) for judge in panel}
    alike: dict[str, dict[str, float]] = {judge: {} for judge in panel if errors[judge]}
    for a, b in combinations(alike, 2):
        alike[a][b] = alike[b][a] = correlation(errors[a], errors[b])
    return alike


def votes_worth(judges: Sequence[str], alike: Mapping[str, Mapping[str, float]]) -> float:
    """How many independent judges these are worth: n²/Σρ, negative correlations taken as none. Two
    that were never measured together are taken to err as alike as judges on record do."""
    pairs = (alike.get(a, {}).get(b, ALIKE_UNKNOWN) for a, b in combinations(judges, 2))
    total = len(judges) + 2 * sum(max(0.0, rho) for rho in pairs)
    return len(judges) ** 2 / total if total else 0.0


def correlation(a: Mapping[str, bool], b: Mapping[str, bool]) -> float:
    """Pearson's over the items that both answered; 0 where one of them never changes."""
    shared = a.keys() & b.keys()
    n = len(shared)
    if not n:
        return 0.0
    mean_a, mean_b = sum(a[i] for i in shared) / n, sum(b[i] for i in shared) / n
    spread = math.sqrt(mean_a * (1 - mean_a) * mean_b * (1 - mean_b))
    both = sum(a[i] and b[i] for i in shared) / n
    return (both - mean_a * mean_b) / spread if spread else 0.0


def _errors(recordings: Sequence[Recording], judge: str) -> dict[str, bool]:
    answers = ((r.item, r.answer(judge), r.gold) for r in recordings)
    return {item: answer != gold for item, answer, gold in answers if answer is not None}


def _row(
    recording: Recording, panel: Sequence[str], positive: str, negative: str
) -> list[tuple[int, float]]:
    """The judges that answered, by place, +1 where they were right."""
    known = (positive, negative)
    answers = ((at, recording.answer(judge)) for at, judge in enumerate(panel))
    return [(at, 1.0 if a == recording.gold else -1.0) for at, a in answers if a in known]


def _ascend(rows: Sequence[Sequence[tuple[int, float]]], size: int, ridge: float) -> list[float]:
    """The weights of greatest penalised likelihood, by Nesterov's gradient ascent.

    With the right answer as the direction of each vote, log-odds above 0 are right whatever the
    answer was called.
    """
    step = 1 / (ridge + 0.25 * _largest(rows, size))
    weights, ahead, momentum = [0.0] * size, [0.0] * size, 1.0
    for _ in range(ROUNDS):
        slope = [-ridge * w for w in ahead]
        for row in rows:
            odds = sum(ahead[at] * sign for at, sign in row)
            doubt = 1 / (1 + math.exp(max(min(odds, 500.0), -500.0)))
            for at, sign in row:
                slope[at] += doubt * sign
        if max(map(abs, slope), default=0.0) <= SAME_BELOW * max(1, len(rows)):
            break
        moved = [w + step * s for w, s in zip(ahead, slope, strict=True)]
        after = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        pull = (momentum - 1) / after
        ahead = [m + pull * (m - w) for m, w in zip(moved, weights, strict=True)]
        weights, momentum = moved, after
    return weights


def _largest(rows: Sequence[Sequence[tuple[int, float]]], size: int) -> float:
    """An upper bound on how much the votes move together: the largest row sum of their products."""
    sums = [0.0] * size
    for row in rows:
        for at, _ in row:
            sums[at] += len(row)
    return max(sums, default=0.0)
