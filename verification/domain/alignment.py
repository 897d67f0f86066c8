"""A claim laid beside its quote, word for word: what stands in another word's place, and what is missing
or too much between words that are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from verification.domain.opposites import opposite_in
from verification.domain.wording import Token, Wording, after, before

PAIRS_MAX = 4_000_000  # of words to compare: about a second; above, only the other rules speak
GAP_MAX = 3  # words; more is another sentence, not a word changed
_JOINING = frozenset({"and", "or", "&", ",", "/", "nor"})


@dataclass(frozen=True, slots=True)
class Gap:
    """Words of the claim and of the quote between the same words on both sides."""

    mine: Sequence[Token]
    theirs: Sequence[Token]


def changed(mine: Wording, theirs: Wording) -> str | None:
    """A number, a name, a contrary, or a word from elsewhere in the quote stands in another's
    place; or there is a negation more or fewer."""
    if _too_long(mine, theirs):
        return None
    found = list(gaps(mine, theirs))
    moved = _exchanged_in_list(found)
    for gap in found:
        if fault := _negation(gap) or (None if moved else _other_word(gap, theirs)):
            return fault
    return None


def exchanged(mine: Wording, theirs: Wording) -> str | None:
    """A number or name stands between the words between which the quote has another one; for the
    first word of the claim the word after it is enough."""
    if _too_long(mine, theirs):
        return None
    for at, token in enumerate(mine.tokens):
        begins = at == 0 and token.is_content and token.stem not in theirs.stems
        if not (token.kind == "number" or token.is_name or begins):
            continue
        left, right = _sides(mine, at)
        own = [_sides(theirs, i) for i, t in enumerate(theirs.tokens) if t.stem == token.stem]
        if {left, right} & _JOINING or any(left == one or right == other for one, other in own):
            continue
        for i, other in enumerate(theirs.tokens):
            same = _sides(theirs, i) == (left, right) and other.kind == token.kind
            lost = begins and other.is_name and other.stem not in mine.stems
            if other.is_content and (same or (lost and after(theirs.tokens, i) == right)):
                return f"says “{token.form}” where its quote says “{other.form}”"
    return None


def _too_long(mine: Wording, theirs: Wording) -> bool:
    return len(mine.tokens) * len(theirs.tokens) > PAIRS_MAX


def _sides(words: Wording, at: int) -> tuple[str, str]:
    return before(words.tokens, at), after(words.tokens, at)


def gaps(mine: Wording, theirs: Wording) -> Iterator[Gap]:
    a, b = [t.stem for t in mine.tokens], [t.stem for t in theirs.tokens]
    codes = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    for at, (tag, i, j, k, m) in enumerate(codes):
        is_small = j - i <= GAP_MAX and m - k <= GAP_MAX
        ends = at + 1 == len(codes)
        inside = not ends or (tag == "replace" and at > 0)
        starts = at == 0 and (tag != "replace" or k > 0)
        if tag != "equal" and is_small and inside and not starts:
            yield Gap(mine.tokens[i:j], theirs.tokens[k:m])


def _exchanged_in_list(found: Sequence[Gap]) -> bool:
    """`A and B` as `B and A`: the same words, in another order, and nothing else."""
    words = [(sorted(t.stem for t in g.mine), sorted(t.stem for t in g.theirs)) for g in found]
    gone = sorted(stem for _, theirs in words for stem in theirs)
    come = sorted(stem for mine, _ in words for stem in mine)
    return gone == come and bool(_JOINING & set(gone))


def _negation(gap: Gap) -> str | None:
    mine = sum(token.is_negation for token in gap.mine)
    theirs = sum(token.is_negation for token in gap.theirs)
    if mine == theirs or any(opposite_in(t.stem, _stems(gap.theirs)) for t in gap.mine):
        return None
    if mine > theirs:
        return "denies something that its quote does not"
    return "leaves out the negation of its quote"


def _other_word(gap: Gap, theirs: Wording) -> str | None:
    if len(gap.mine) != len(gap.theirs):
        return None
    for said, meant in zip(gap.mine, gap.theirs, strict=True):
        if said.stem == meant.stem or not (said.is_content and meant.is_content):
            continue
        is_contrary = opposite_in(said.stem, {meant.stem})
        if is_contrary or said.stem in theirs.stems or (said.is_name and meant.is_name):
            return f"says “{said.form}” where its quote says “{meant.form}”"
        if said.first and meant.first and said.form[0].isupper() and meant.form[0].isupper():
            return f"says “{said.form}” where its quote says “{meant.form}”"
    return None


def _stems(tokens: Sequence[Token]) -> frozenset[str]:
    return frozenset(token.stem for token in tokens)
