"""Whether two statements say opposite things of the same matter, as far as words can show it.

Literal on purpose: two statements are compared only when nearly all their words are the same. Then
another number, a negation that only one has, or a word and its opposite are a contradiction. What is
said in other words altogether is for a judge, not for rules.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

SHARED_MIN = 3  # words of the matter that both must have
SAME_MIN = 0.75  # of the words of both together
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NEGATIONS = frozenset(
    {"not", "no", "never", "none", "nothing", "neither", "nor", "without", "cannot"}
)
_EMPTY = frozenset(
    "a an the is are was were be been being has have had do does did of in on at to for from by with"
    " and or that this these those it its as than then there which who will would can could may".split()
)
_PAIRS = (
    ("increase", "decrease"), ("increases", "decreases"), ("increased", "decreased"),
    ("rise", "fall"), ("rises", "falls"), ("rose", "fell"), ("higher", "lower"), ("more", "less"),
    ("faster", "slower"), ("before", "after"), ("above", "below"), ("first", "last"),
    ("enabled", "disabled"), ("enable", "disable"), ("allowed", "forbidden"), ("on", "off"),
    ("required", "optional"), ("supported", "unsupported"), ("safe", "unsafe"), ("true", "false"),
    ("passes", "fails"), ("passed", "failed"), ("succeeds", "fails"), ("always", "never"),
    ("all", "none"), ("public", "private"), ("synchronous", "asynchronous"), ("minimum", "maximum"),
)  # fmt: skip
OPPOSITES = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}


@dataclass(frozen=True, slots=True)
class Statement:
    """A text taken apart: `words` of the matter, `numbers` by value, whether it denies."""

    text: str
    words: frozenset[str]
    numbers: frozenset[str]
    denies: bool

    @classmethod
    def of(cls, text: str) -> Statement:
        said = [word.lower().replace("\u2019", "'") for word in _WORD.findall(text)]
        denies = any(word in _NEGATIONS or word.endswith("n't") for word in said)
        words = (
            w for w in said if w not in _EMPTY and w not in _NEGATIONS and not w.endswith("n't")
        )
        return cls(text, frozenset(words), frozenset(map(_value, _NUMBER.findall(text))), denies)


def contradiction(a: Statement, b: Statement) -> str | None:
    """Why the two cannot both be true; None when nothing shows it."""
    opposed = {word for word in a.words - b.words if OPPOSITES.get(word) in b.words - a.words}
    mine = a.words - opposed
    theirs = b.words - {OPPOSITES[word] for word in opposed}
    if not _same_matter(mine, theirs):
        return None
    if opposed:
        word = min(opposed)
        return None if a.denies != b.denies else f"one says “{word}”, the other “{OPPOSITES[word]}”"
    if a.numbers and b.numbers and not (a.numbers <= b.numbers or b.numbers <= a.numbers):
        one, other = min(a.numbers - b.numbers), min(b.numbers - a.numbers)
        return f"one says {one}, the other {other}"
    if a.denies != b.denies and a.numbers == b.numbers:
        return "one denies what the other says"
    return None


def _same_matter(a: Set[str], b: Set[str]) -> bool:
    shared = len(a & b)
    return shared >= SHARED_MIN and shared >= SAME_MIN * len(a | b)


def _value(number: str) -> str:
    """1,000 and 1000 are one number, 1.50 and 1.5 too."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", number):
        number = number.replace(",", "")
    if re.fullmatch(r"\d+\.\d+", number):
        number = number.rstrip("0").rstrip(".")
    return number.lstrip("0") or "0"
