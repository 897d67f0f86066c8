"""Ranking candidates: BM25 and cosine as z-scores, added; and what fits into a budget.

A plain sum of z-scores finds more than reciprocal rank fusion does; recency makes recall worse,
so it plays no part. A signal that is missing altogether gives its weight to the others.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WEIGHTS = {"lexical": 0.5, "dense": 0.5}
PIN_BONUS = 0.5
DENSE_MIN = 0.1  # less alike than this, and without a word in common, is chance
K1, B = 0.9, 0.4  # BM25 for short texts
TOKEN_CHARS = 4
ROW_TOKENS = 8  # what a brief adds around each memory


@dataclass(frozen=True, slots=True)
class Candidate:
    """`counts`: how often each of the query's words is in it; `length`: its distinct words."""

    id: int
    counts: Mapping[str, int] = field(default_factory=dict)
    length: int = 0
    cosine: float | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Corpus:
    """What BM25 must know of all that was searched: rows, and rows with each word."""

    rows: int
    with_word: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ranked:
    """`signals` add up to `score`."""

    id: int
    score: float
    signals: dict[str, float]


def rank(candidates: Sequence[Candidate], corpus: Corpus) -> list[Ranked]:
    """Best first; equal scores by id, so that the order is the same every time.

    Those that are alike only by chance are left out, but count in the means: what is found stands
    out against them.
    """
    scores = {
        "lexical": _z(bm25(candidates, corpus)),
        "dense": _z({c.id: c.cosine for c in candidates if c.cosine is not None}),
    }
    present = [name for name, values in scores.items() if values]
    floors = {name: _floor(scores[name]) for name in present}
    total = sum(WEIGHTS[name] for name in present)
    rows = []
    for c in candidates:
        if not (c.counts or c.pinned or (c.cosine or 0.0) >= DENSE_MIN):
            continue
        signals = {
            name: WEIGHTS[name] / total * scores[name].get(c.id, floors[name]) for name in present
        }
        if c.pinned:
            signals["pinned"] = PIN_BONUS
        rows.append(Ranked(c.id, sum(signals.values()), signals))
    return sorted(rows, key=lambda row: (-row.score, row.id))


def bm25(candidates: Sequence[Candidate], corpus: Corpus) -> dict[int, float]:
    """Okapi BM25 (Robertson and Zaragoza 2009) of the candidates that share a word."""
    found = [c for c in candidates if c.counts]
    if not found:
        return {}
    usual = statistics.fmean(c.length for c in found) or 1.0
    return {
        c.id: sum(
            _rarity(corpus, word) * n * (K1 + 1) / (n + K1 * (1 - B + B * c.length / usual))
            for word, n in c.counts.items()
        )
        for c in found
    }


def _rarity(corpus: Corpus, word: str) -> float:
    n = corpus.with_word.get(word, 0)
    return math.log1p((max(corpus.rows, n) - n + 0.5) / (n + 0.5))


def _z(values: Mapping[int, float]) -> dict[int, float]:
    if not values:
        return {}
    mean = statistics.fmean(values.values())
    spread = max(statistics.pstdev(values.values()), 1e-6)
    return {key: (v - mean) / spread for key, v in values.items()}


def _floor(values: Mapping[int, float]) -> float:
    """A candidate that a signal did not find counts as a little worse than the worst it found."""
    return min(values.values()) - 0.5


def fitting(texts: Sequence[str], budget_tokens: int) -> list[tuple[int, str]]:
    """(index, text) of those that fit, in order; a long one does not keep shorter ones out.

    Four characters count as a token. When not even one fits, the first is cut.
    """
    left = budget_tokens
    out = []
    for n, text in enumerate(texts):
        cost = tokens_of(text)
        if cost <= left:
            out.append((n, text))
            left -= cost
    if texts and not out:
        return [(0, texts[0][: max((budget_tokens - ROW_TOKENS) * TOKEN_CHARS - 1, 1)] + "…")]
    return out


def tokens_of(text: str) -> int:
    return math.ceil(len(text) / TOKEN_CHARS) + ROW_TOKENS


def wilson(successes: int, failures: int, z: float = 1.96) -> float:
    """Lower bound of the success rate (Wilson score interval, 95 % by default)."""
    n = successes + failures
    if n == 0:
        return 0.0
    p = successes / n
    centre = p + z * z / (2 * n)
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - margin) / (1 + z * z / n))
