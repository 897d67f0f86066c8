"""Whether two statements say opposite things of the same matter, as far as words can show it.

Literal on purpose: two statements are compared only when nearly all their words are the same. Then
another number, a negation that only one has, or a word and its opposite are a contradiction. What is
said in other words altogether is for a judge, not for rules.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from verification.domain.opposites import opposite_in
from verification.domain.wording import wording

SHARED_MIN = 3  # words of the matter that both must have
SAME_MIN = 0.75  # of the words of both together


@dataclass(frozen=True, slots=True)
class Statement:
    """A text taken apart: stems of the `words` of its matter, `numbers` by value, whether it denies."""

    text: str
    words: frozenset[str]
    numbers: frozenset[str]
    denies: bool

    @classmethod
    def of(cls, text: str) -> Statement:
        said = wording(text)
        numbers = frozenset(stem for stem in said.content if stem[0].isdigit())
        return cls(text, said.content - numbers, numbers, bool(said.denied))


def contradiction(a: Statement, b: Statement) -> str | None:
    """Why the two cannot both be true; None when nothing shows it."""
    theirs_alone = b.words - a.words
    pairs = {word: opposite_in(word, theirs_alone) for word in a.words - b.words}
    opposed = {word: other for word, other in pairs.items() if other}
    if not _same_matter(a.words - opposed.keys(), b.words - set(opposed.values())):
        return None
    if opposed:
        one, other = min(opposed.items())
        if a.denies != b.denies:
            return None
        return f"one says “{_form(a, one)}”, the other “{_form(b, other)}”"
    if a.numbers and b.numbers and not (a.numbers <= b.numbers or b.numbers <= a.numbers):
        one, other = min(a.numbers - b.numbers), min(b.numbers - a.numbers)
        return f"one says {one}, the other {other}"
    if a.denies != b.denies and a.numbers == b.numbers:
        return "one denies what the other says"
    return None


def _form(statement: Statement, stem: str) -> str:
    return next(t.form for t in wording(statement.text).tokens if t.stem == stem)


def _same_matter(a: Set[str], b: Set[str]) -> bool:
    shared = len(a & b)
    return shared >= SHARED_MIN and shared >= SAME_MIN * len(a | b)
