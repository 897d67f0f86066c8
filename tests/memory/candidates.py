"""Candidates one by one, for tests: ranking takes them by columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from memory.domain.ranking import NO_CANDIDATES, Candidates


class Candidate(NamedTuple):
    id: int
    bm25: float | None = None
    cosine: float | None = None
    pinned: bool = False
    importance: float = 0.0
    actor: str = ""
    session: str = ""
    seq: int = 0
    words: int = 0
    kind: str = "note"
    found: bool = True
    faded: bool = False


def together(rows: Iterable[Candidate]) -> Candidates:
    ordered = sorted(rows)
    return Candidates.given(*zip(*ordered, strict=True)) if ordered else NO_CANDIDATES


def one_by_one(found: Candidates) -> list[Candidate]:
    columns = (c.tolist() if isinstance(c, np.ndarray) else c for c in found)
    rows = (Candidate(*row) for row in zip(*columns, strict=True))
    return [row._replace(bm25=_known(row.bm25), cosine=_known(row.cosine)) for row in rows]


def _known(score: float | None) -> float | None:
    return None if score is None or np.isnan(score) else score
