"""How much each memory of a namespace is worth keeping: one formula for dialogues and for logs.

What a text says counts most: how rare its words are in the namespace, names, numbers, times, the first
person, whether it answers a question of somebody else; a question itself is worth less. Then its
kind, whether it was verified, and the importance a writer gave, whether it repeats its neighbours,
whether it was of use, how fresh it is. An actor who writes long prose on and on, as assistants do, is
worth less a row than one who is brief: on BEAM 77 % of the evidence is what the user said.
docs/memory.md has what half of the rows keeps. Pure: time comes in as ages, and a score means something
only beside the others of the same call.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memory.domain.importance import KIND_PRIOR, PRIOR_UNKNOWN, importance_of
from memory.domain.sameness import near_duplicates

WEIGHTS: Mapping[str, float] = {
    "importance": 1.5,
    "content": 1.0,
    "repeats": -0.3,
    "prose": -4.0,
    "uses": 0.5,
    "fresh": 0.5,
}
TRUST = ("verified", "unverified", "untrusted")  # best first
CHATTER_BELOW = 1.0  # by the prior of its kind: a fact or a decision is none
VOUCHED = 0.5  # beyond the prior of its kind: somebody checked it, and that is rare and costly
USES_MAX = 1.0  # what is repeated a thousand times is not worth more than what was used six times
MASS_MAX = 60.0  # summed rarity that counts: beyond it a text is long, not rich
PIECE_WORDS = 60  # an actor who writes more than this on average writes prose
NEAR = 200  # rows before and after, in the order of time, that a row may repeat
DIMS = 512  # of the hashed words that rows are compared by
BLOCK = 512  # rows compared at once
HALF_LIFE_DAYS = 7.0
Values = npt.NDArray[np.float64]

_WORD = re.compile(r"[^\W_]+")
_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][a-zA-Z]{2,}")
_TIMES = frozenset(
    """today tomorrow tonight yesterday deadline until before since last next ago week weeks month months
    year years weekend january february march april may june july august september october november
    december monday tuesday wednesday thursday friday saturday sunday""".split()
)
_FIRST = frozenset(("i", "me", "my", "mine", "we", "our", "us", "ours"))
_STOP = _FIRST | frozenset(
    """a an the is am are was were be been being have has had do does did and but if or because as while of
    at by for with about to from in on out up down off over under again then once here there when where
    why how all any both each few more most other some such no nor not only own same so than too very can
    will just should now he she it they you your his her its their them this that these those what which
    who whom s t m re ve ll d""".split()
)


@dataclass(frozen=True, slots=True)
class Keepable:
    """A row as retention sees it. `importance`: as written, None for what its kind and text give;
    `answers`: it follows a question of somebody else in its session; `uses`: how often it was recalled or
    said again; `age_days` from its last use."""

    id: int
    text: str
    actor: str = ""
    kind: str = "note"
    answers: bool = False
    importance: float | None = None
    uses: int = 0
    age_days: float = 0.0
    trust: str = "unverified"


@dataclass(frozen=True, slots=True)
class Worth:
    """`signals` add up to `score`. `again`: another row, as trusted and later or more trusted, says the
    same, or nearly the same and this one is chatter by its kind."""

    id: int
    score: float
    signals: Mapping[str, float]
    again: bool


def worths(rows: Sequence[Keepable], usual: Mapping[str, float] | None = None) -> list[Worth]:
    """In the order of `rows`, which is the order of time. `usual`: words of a text by actor, on average
    over more than `rows`, where the longest of them are gone already."""
    if not rows:
        return []
    words = [_words(row.text) for row in rows]
    parts = {
        "importance": np.array([_importance(row) for row in rows]),
        "content": _z(_content(rows, words)),
        "repeats": _z(_alike(words)),
        "prose": _prose(rows, usual or {}),
        "uses": np.array([min(0.5 * math.log1p(row.uses), USES_MAX) for row in rows]) / 0.5,
        "fresh": np.array([_fresh(row) for row in rows]),
    }
    shares = {name: WEIGHTS[name] * values for name, values in parts.items()}
    total = np.sum(list(shares.values()), axis=0)
    later = near_duplicates((row.id, row.text) for row in _best_first(rows))
    return [
        Worth(
            row.id,
            float(total[n]),
            {name: round(float(share[n]), 3) for name, share in shares.items()},
            later.get(row.id, False) or (row.id in later and _prior(row) < CHATTER_BELOW),
        )
        for n, row in enumerate(rows)
    ]


def _best_first(rows: Sequence[Keepable]) -> list[Keepable]:
    """Of what says the same, the most trusted stays, and of those the latest: text of lesser trust must
    not push out what it repeats."""
    return [row for trust in TRUST for row in reversed(rows) if row.trust == trust]


def _importance(row: Keepable) -> float:
    """That of its kind and trust, and what its writer gave beyond the kind and the text, which `content`
    weighs."""
    given = row.importance
    lift = 0.0 if given is None else given - importance_of(row.kind, row.text)
    return _prior(row) + lift + (VOUCHED if row.trust == "verified" else 0.0)


def _prior(row: Keepable) -> float:
    return KIND_PRIOR.get(row.kind, PRIOR_UNKNOWN)


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP]


def _content(rows: Sequence[Keepable], words: Sequence[Sequence[str]]) -> Values:
    return np.array(
        [
            mass + _said(row.text) + 0.75 * row.answers
            for row, mass in zip(rows, _mass(words), strict=True)
        ]
    )


def _mass(words: Sequence[Sequence[str]]) -> Iterable[float]:
    """Summed rarity of a row's words, on a scale that flattens and ends."""
    sets = [set(each) for each in words]
    having = Counter(word for each in sets for word in each)
    n = len(sets)
    rarity = {word: math.log1p((n - k + 0.5) / (k + 0.5)) for word, k in having.items()}
    for each in sets:
        yield 0.5 * math.log1p(min(sum(map(rarity.__getitem__, each)), MASS_MAX))


def _said(text: str) -> float:
    """Names, numbers, times, the first person; a question is worth a little less."""
    words = _WORD.findall(text.lower())
    numbers = sum(word.isdigit() for word in words)
    found: float = (
        0.1 * min(len(_NAME.findall(text)), 3)
        + 0.15 * min(numbers, 2)
        + 0.3 * min(sum(word in _TIMES for word in words), 2)
        + 0.3 * math.log1p(sum(word in _FIRST for word in words))
        - (0.1 if text.rstrip().endswith("?") else 0.0)
    )
    return found


def _prose(rows: Sequence[Keepable], known: Mapping[str, float]) -> Values:
    """By how much an actor's usual text is longer than a piece, and than twice the briefest actor's."""
    lengths: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        lengths[row.actor].append(len(row.text.split()))
    usual = {actor: known.get(actor, sum(of) / len(of)) for actor, of in lengths.items()}
    brief = max(PIECE_WORDS, 2 * min(usual.values()))
    excess = {actor: max(0.0, math.log(max(mean, 1) / brief)) for actor, mean in usual.items()}
    return np.array([excess[row.actor] for row in rows])


def _alike(words: Sequence[Sequence[str]]) -> Values:
    """Cosine of the hashed words with the nearest of the `NEAR` rows before and after."""
    n = len(words)
    vectors = _vectors(words)
    found = np.zeros(n)
    for start in range(0, n, BLOCK):
        stop, low, high = min(start + BLOCK, n), max(start - NEAR, 0), min(start + BLOCK + NEAR, n)
        cosines = vectors[start:stop] @ vectors[low:high].T
        own = np.arange(stop - start)
        cosines[own, own + start - low] = 0
        found[start:stop] = cosines.max(axis=1, initial=0)
    return found


def _vectors(words: Sequence[Sequence[str]]) -> npt.NDArray[np.float32]:
    vectors = np.zeros((len(words), DIMS), np.float32)
    places: dict[str, int] = {}
    for row, each in zip(vectors, words, strict=True):
        row[[places.setdefault(word, _place(word)) for word in set(each)]] += 1
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return vectors


def _place(word: str) -> int:
    """A place that is the same in every process, which the built-in hash is not."""
    value = 0
    for letter in word:
        value = (value * 131 + ord(letter)) & 0xFFFFFFFF
    return (value ^ value >> 15) % DIMS


def _fresh(row: Keepable) -> float:
    return math.exp(-max(row.age_days, 0.0) / (HALF_LIFE_DAYS * (1 + min(row.uses, 6))))


def _z(values: Values) -> Values:
    found: Values = (values - values.mean()) / max(float(values.std()), 1e-6)
    return found
