"""Ranking candidates: z-scores of the lexical and the dense signal, added.

A plain sum of z-scores finds more than reciprocal rank fusion does; recency makes recall worse,
so it plays no part. A signal that is missing gives its weight to the others.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WEIGHTS = {"lexical": 0.5, "dense": 0.5}
PIN_BONUS = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    id: int
    lexical: float | None
    dense: float | None
    pinned: bool = False


def rank(candidates: Sequence[Candidate]) -> list[tuple[int, float, dict[str, float]]]:
    """(id, score, signals) best first; the signals add up to the score."""
    scores = {name: _z({c.id: getattr(c, name) for c in candidates}) for name in WEIGHTS}
    present = [name for name, values in scores.items() if values]
    total = sum(WEIGHTS[name] for name in present) or 1.0
    rows = []
    for c in candidates:
        signals = {
            name: WEIGHTS[name] / total * scores[name].get(c.id, _floor(scores[name]))
            for name in present
        }
        if c.pinned:
            signals["pinned"] = PIN_BONUS
        rows.append((c.id, sum(signals.values()), signals))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _z(values: Mapping[int, float | None]) -> dict[int, float]:
    known = {key: v for key, v in values.items() if v is not None}
    if not known:
        return {}
    mean = statistics.fmean(known.values())
    spread = max(statistics.pstdev(known.values()), 1e-6)
    return {key: (v - mean) / spread for key, v in known.items()}


def _floor(values: Mapping[int, float]) -> float:
    """A candidate that a signal did not find counts as a little worse than the worst it found."""
    return min(values.values(), default=0.0) - 0.5


def within_budget(texts: Sequence[str], budget_tokens: int) -> int:
    """How many of `texts`, in order, fit (four characters count as a token); at least one."""
    used = 0
    for n, text in enumerate(texts):
        used += len(text) // 4 + 8
        if used > budget_tokens and n:
            return n
    return len(texts)


def wilson(successes: int, failures: int, z: float = 1.96) -> float:
    """Lower bound of the success rate (Wilson score interval, 95 % by default)."""
    n = successes + failures
    if n == 0:
        return 0.0
    p = successes / n
    centre = p + z * z / (2 * n)
    margin = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return float(max(0.0, (centre - margin) / (1 + z * z / n)))
