"""Ranking candidates: signals as z-scores, added; and what fits into a budget.

A plain sum of z-scores finds more than reciprocal rank fusion does; recency makes recall worse, so it
plays no part. What was said beside a candidate and in the same session speaks for it, more so where
people talk in short turns than where an assistant writes pages: the profile follows from how long the
texts of a scope are. A signal that is missing altogether gives its weight to the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

WEIGHTS = {"lexical": 0.3, "dense": 0.3, "late": 0.4}
PIN_BONUS = 0.5
ACTOR_BONUS = 2.0
ADDRESSED = 0.5  # of the bonus: a question about what "you" said is about the one who is asked
STANDING = {"instruction": 1.0, "directive": 1.0, "preference": 0.4}  # what a person said for later
LONG_WORDS = 180  # from here on length makes no token more likely: the embedder reads no further
LATE_MAX = 1000  # candidates, the best by words and meaning, whose tokens are looked at
DENSE_MIN = 0.1  # less alike than this, and without a word in common, is chance
TOKEN_CHARS = 4
ROW_TOKENS = 8  # what a brief adds around each memory
ACTOR_WORDS_MAX = 4
FADED = 0.7  # of what the words of a cold neighbour say: there is no meaning to go with them
BESIDE_MAX = 4  # places in a session: what stood between may be cold
_FIRST_PERSON = re.compile(r"\b(?:i|i'm|i've|i'd|me|my|mine|myself|we|our|us)\b", re.IGNORECASE)
_ADDRESSED = re.compile(
    r"\b(?:did|have|had|were)\s+you\b|\byou(?:'ve|'d|\s+have|\s+had)?\s+(?:\w+ly\s+)?(?:said|told|gave|\w+ed)\b",
    re.IGNORECASE,
)
# Actors are names of people, or say what they are: agent:coder, orchestrator, assistant.
MACHINES = frozenset(
    ("agent", "ai", "assistant", "bot", "model", "orchestrator", "policy", "system", "tool", "verifier",
     "worker")
)  # fmt: skip
_WORD = re.compile(r"\w+")

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Late = Callable[[Sequence[int]], Mapping[int, float]]


class Candidates(NamedTuple):
    """What may answer a question: a column each, all as long as `ids` and in their order, for sums of
    floats depend on it. `found` is false for what only stands beside a candidate, `faded` true where that
    is cold: no more is left of it than words, and it is no result."""

    ids: Sequence[int]
    bm25: Scores  # nan: no word in common
    cosine: Scores  # nan: no vector of the current model
    pinned: Flags
    importance: Scores
    actors: Sequence[str]
    sessions: Sequence[str]
    seqs: Sequence[int]
    words: npt.NDArray[np.int64]
    kinds: Sequence[str]
    found: Flags
    faded: Flags

    @classmethod
    def given(cls, *columns: Sequence[Any]) -> Candidates:
        """From lists, in the order of the fields; None becomes nan."""
        given: dict[str, Any] = dict(zip(cls._fields, columns, strict=True))
        return cls(**given | {name: np.array(given[name], of) for name, of in _ARRAYS.items()})


_ARRAYS: Mapping[str, npt.DTypeLike] = {
    "bm25": np.float64, "cosine": np.float64, "pinned": np.bool_, "importance": np.float64,
    "words": np.int64, "found": np.bool_, "faded": np.bool_,
}  # fmt: skip
NO_CANDIDATES = Candidates.given(*((),) * 12)


@dataclass(frozen=True, slots=True)
class Usual:
    """How an actor writes: texts, and words in one on average."""

    actor: str
    texts: int
    words: float


@dataclass(frozen=True, slots=True)
class Profile:
    """What neighbours, the session and importance count for."""

    neighbours: float
    session: float
    importance: float


DIALOGUE = Profile(0.25, 0.4, 0.4)
ASSISTANT = Profile(0.1, 0.0, 0.0)
NEUTRAL = Profile(0.1, 0.2, 0.0)
TEXTS_MIN = 50  # fewer say nothing about how a scope is written
SHORT_WORDS = 60
RATIO_MAX = 4


class Ranked(NamedTuple):
    """`signals` add up to `score`."""

    id: int
    score: float
    signals: dict[str, float]


def profile_of(usual: Sequence[Usual]) -> Profile:
    """Dialogue where all write short texts of like length; an assistant's log otherwise."""
    if sum(u.texts for u in usual) < TEXTS_MIN:
        return NEUTRAL
    often = [u.words for u in usual if u.texts * 20 >= max(x.texts for x in usual)]
    short = max(often) < SHORT_WORDS and max(often) < RATIO_MAX * max(min(often), 1.0)
    return DIALOGUE if short else ASSISTANT


def rank(
    of: Candidates,
    query: str,
    usual: Sequence[Usual] = (),
    late: Late | None = None,
    *,
    limit: int | None = None,
) -> list[Ranked]:
    """The best `limit`, best first; equal scores by id, so that the order is the same every time.

    `late` gives the late interaction of the ids that it is asked for: of the best so far. Those that are
    alike only by chance are left out, but count in the means: what is found stands out against them.
    """
    if not of.ids:
        return []
    parts = _parts(of, late)
    names = list(parts)
    base = np.sum(list(parts.values()), axis=0) if parts else np.zeros(len(of.ids))
    base[of.faded] = FADED * _z(of.bm25, of.found)[of.faded]
    profile = profile_of(usual)
    parts["neighbours"] = profile.neighbours * _beside(of, base)
    with_neighbours = base + parts["neighbours"]
    parts["session"] = profile.session * _session(of, with_neighbours)
    parts["importance"] = profile.importance * _z(of.importance, of.found)
    parts["actor"] = ACTOR_BONUS * _actors(of, query, usual)
    if not STANDING.keys().isdisjoint(of.kinds):
        parts["standing"] = np.array(
            [
                STANDING.get(kind, 0.0) if is_person(actor) else 0.0
                for kind, actor in zip(of.kinds, of.actors, strict=True)
            ]
        )
    parts["pinned"] = np.where(of.pinned, PIN_BONUS, 0.0)
    total = np.sum(list(parts.values()), axis=0)
    names += [name for name, values in parts.items() if name not in names and np.any(values)]
    alike = ~np.isnan(of.bm25) | of.pinned | (of.cosine >= DENSE_MIN)  # nan is not
    shown = alike & ~of.faded
    order = np.argsort(-total, kind="stable")  # those of one score by their ids
    best = order[shown[order]][:limit].tolist()
    signals = np.array([parts[name][best] for name in names]).T.tolist()
    return [
        Ranked(of.ids[i], score, dict(zip(names, of_one, strict=True)))
        for i, score, of_one in zip(best, total[best].tolist(), signals, strict=True)
    ]


def _parts(of: Candidates, late: Late | None) -> dict[str, Scores]:
    given = {"lexical": of.bm25, "dense": of.cosine}
    scores = {
        name: _z(values, of.found) for name, values in given.items() if not np.isnan(values).all()
    }
    if late is not None and scores:
        so_far = np.sum([WEIGHTS[name] * score for name, score in scores.items()], axis=0)
        alike = late([of.ids[i] for i in np.argsort(-so_far, kind="stable")[:LATE_MAX].tolist()])
        if alike:
            z = _z(np.array([alike.get(one) for one in of.ids], np.float64), of.found)
            scores["late"] = _without_length(z, of)
    total = sum(WEIGHTS[name] for name in scores)
    return {name: WEIGHTS[name] / total * score for name, score in scores.items()}


def _z(values: Scores, found: Flags) -> Scores:
    """Standard scores against the candidates; one that a signal did not find counts as a little worse
    than the worst that it found."""
    known = values[found & ~np.isnan(values)]
    if known.size == 0:
        return np.zeros(len(values))
    mean, deviation = _moments(known)
    z: Scores = (values - mean) / max(deviation, 1e-6)
    missing = np.isnan(z)
    if missing.any():
        z[missing] = np.nanmin(z) - 0.5
    return z


def _without_length(scores: Scores, of: Candidates) -> Scores:
    """What length does not explain: the best of many tokens is more alike than the best of few."""
    length = np.log1p(np.minimum(of.words, LONG_WORDS))
    mean, deviation = _moments(length[of.found])
    spread = length - mean
    alike = float(spread[of.found] @ scores[of.found]) / np.count_nonzero(of.found)
    rest: Scores = scores - alike / max(deviation**2, 1e-6) * spread
    mean, deviation = _moments(rest[of.found])
    scored: Scores = (rest - mean) / max(deviation, 1e-6)
    return scored


def _moments(values: Scores) -> tuple[float, float]:
    """Mean and standard deviation; numpy's methods take thrice as long for so few."""
    mean = float(np.add.reduce(values)) / values.size
    rest = values - mean
    return mean, math.sqrt(float(rest @ rest) / values.size)


def _beside(of: Candidates, base: Scores) -> Scores:
    """The scores of what was said just before and after, added."""
    around = [0.0] * len(of.ids)
    scores = base.tolist()
    order = sorted(zip(of.sessions, of.seqs, range(len(scores)), strict=True))
    for (session, seq, i), (next_session, next_seq, j) in pairwise(order):
        if seq and session == next_session and next_seq - seq <= BESIDE_MAX:
            around[i] += scores[j]
            around[j] += scores[i]
    return np.array(around)


def _session(of: Candidates, scores: Scores) -> Scores:
    """The mean of the two best of a candidate's session."""
    best: dict[str, list[float]] = {}
    told = zip(of.sessions, of.seqs, of.found.tolist(), scores.tolist(), strict=True)
    for session, seq, is_found, score in told:
        if seq and is_found:
            best.setdefault(session, []).append(score)
    means = {
        session: sum(sorted(some)[-2:]) / 2 if len(some) > 1 else some[0]
        for session, some in best.items()
    }
    return np.array(
        [
            means.get(session, 0.0) if seq else 0.0
            for session, seq in zip(of.sessions, of.seqs, strict=True)
        ]
    )


def _actors(of: Candidates, query: str, usual: Sequence[Usual]) -> Scores:
    """1 for what was said by those whom the question names; else, where it is in the first person, by
    its asker, who is a person, or by the one who is asked if it is about what "you" said."""
    asked = {word.lower() for word in _WORD.findall(query)}
    names = {*of.actors, *(u.actor for u in usual)}
    meant = {name for name in names if name and _named(name, asked)}
    share = 1.0
    if not meant and _ADDRESSED.search(query):
        meant, share = {name for name in names if name and not is_person(name)}, ADDRESSED
    elif not meant and _FIRST_PERSON.search(query):
        meant = {name for name in names if is_person(name)}
    if not meant:
        return np.zeros(len(of.ids))
    return np.array([share * (actor in meant) for actor in of.actors])


def is_person(actor: str) -> bool:
    return bool(actor) and actor.lower().split(":")[0] not in MACHINES


def _named(actor: str, asked: set[str]) -> bool:
    words = [word.lower() for word in _WORD.findall(actor)]
    return 0 < len(words) <= ACTOR_WORDS_MAX and all(word in asked for word in words)


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
