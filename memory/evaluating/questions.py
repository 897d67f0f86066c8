"""What is asked and what is counted: conversations, questions with their evidence, and the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

KS = (5, 10, 20)
DEPTH = 100  # of a ranking; evidence below it has rank infinity


@dataclass(frozen=True, slots=True)
class Turn:
    """One memory. `session` groups what was said in one sitting."""

    id: str
    session: str
    speaker: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """`evidence` are ids of turns; `old` and `new` the versions of a fact that was updated, or the two
    sides of a contradiction."""

    text: str
    category: str
    evidence: tuple[str, ...]
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]

    @property
    def asked(self) -> list[Question]:
        """Those whose evidence is known."""
        return [question for question in self.questions if question.evidence]


@dataclass(frozen=True, slots=True)
class Found:
    """What a question was answered with: ids of turns, best first."""

    question: Question
    ranking: tuple[str, ...]
    seconds: float


def figures(found: Sequence[Found]) -> dict[str, Any]:
    """Means over the questions, in per cent: `R@k` the share of the evidence among the first k, `any@10`
    and `all@10` how often some and all of it, `MRR` one over the rank of the first evidence."""
    if not found:
        return {"questions": 0}
    rows = [_row(one) for one in found]
    means = {name: round(100 * fmean(row[name] for row in rows), 2) for name in rows[0]}
    return {"questions": len(found), **means}


def by_category(found: Sequence[Found]) -> dict[str, dict[str, Any]]:
    names = sorted({one.question.category for one in found})
    return {name: figures([f for f in found if f.question.category == name]) for name in names}


def latency(found: Sequence[Found]) -> dict[str, float]:
    """Milliseconds a question."""
    taken = sorted(one.seconds * 1000 for one in found)
    return {
        name: round(taken[int(len(taken) * share)], 2)
        for name, share in (("p50", 0.5), ("p95", 0.95))
        if taken
    }


def _row(found: Found) -> Mapping[str, float]:
    evidence, ranking = set(found.question.evidence), found.ranking
    hits = {k: len(evidence & set(ranking[:k])) for k in KS}
    ranks = (rank for rank, turn in enumerate(ranking, 1) if turn in evidence)
    return {
        **{f"R@{k}": hits[k] / len(evidence) for k in KS},
        "any@10": float(hits[10] > 0),
        "all@10": float(hits[10] == len(evidence)),
        "MRR": 1 / next(ranks, float("inf")),
    }
