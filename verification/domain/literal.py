"""Rules on a claim that is made of its quote's words: what was added, dropped, turned or exchanged.

Each takes the wording of the claim and that of the quote and returns what is wrong, or None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from verification.domain.numerals import WORDS
from verification.domain.opposites import RANKS, opposite_in
from verification.domain.wording import Wording

OVERLAP_MIN = 1 / 4  # of the claim's words of content; with fewer it speaks of something else
CONTENT_MIN = 4  # fewer words of content are too few to tell
# Capitalised in a frame without being anybody: `According to the README, …`
_DOCUMENTS = frozenset(
    "readme documentation docs manual guide report licence license notes source document".split()
)


def name_added(
    mine: Wording, theirs: Wording, context: str, *, is_frame: bool = False
) -> str | None:
    """A name in the claim that the quote has not. One for which the quote has another word (`it`)
    is right where the source has it, unless the claim lacks a name of the quote."""
    missing = [t for t in theirs.tokens if t.is_name and t.stem not in mine.stems]
    for token in mine.tokens:
        if not token.is_name or token.stem in theirs.stems or token.form.lower() in WORDS:
            continue
        if is_frame and token.form.lower() in _DOCUMENTS:
            continue
        if (not is_frame and missing) or not _stands(token.form, context):
            return token.form
    return None


_PRONOUNS = frozenset("it they this these that those he she we there here".split())


def subject_unknown(mine: Wording, theirs: Wording, context: str) -> str | None:
    """The claim says who `it` is, and names somebody of whom the whole source does not speak."""
    if len(mine.tokens) < 2 or not mine.tokens[0].is_content:
        return None
    name, verb = mine.tokens[0], mine.tokens[1].stem
    for pronoun, following in pairwise(theirs.tokens):
        is_it = pronoun.form.lower() in _PRONOUNS and following.stem == verb
        if is_it and name.stem not in theirs.stems and not _stands(name.form, context):
            return name.form
    return None


def _stands(word: str, text: str) -> bool:
    return bool(
        re.search(
            rf"(?<!\w){re.escape(word.removesuffix(chr(39) + 's'))}(?!\w)", text, re.IGNORECASE
        )
    )


def polarity(mine: Wording, theirs: Wording) -> str | None:
    """A negation is there in one and not in the other, on a word that both have."""
    for words in mine.denied:
        if words[0] in theirs.content and words[0] not in theirs.denied_stems:
            return f"denies something (“{words[0]}…”), and its quote does not"
    if mine.denied and not theirs.denied and not _denies_by_prefix(theirs):
        return "denies something, and its quote does not"
    for words in theirs.denied:
        affirms = words[0] in mine.content and words[0] not in mine.denied_stems
        if affirms and not _affirmed(words[0], theirs) and not opposite_in(words[0], mine.content):
            return f"leaves out the negation of its quote, on “{words[0]}…”"
    return None


def _affirmed(word: str, theirs: Wording) -> bool:
    """The quote has the word more often than it denies it."""
    times = sum(token.stem == word for token in theirs.tokens)
    return times > sum(word in words for words in theirs.denied)


def _denies_by_prefix(theirs: Wording) -> bool:
    return any(
        re.match(r"(?:un|in|im|dis|non|fail|lack|only|refus|prevent)", s) for s in theirs.stems
    )


def opposite(mine: Wording, theirs: Wording) -> str | None:
    """A word of the claim says the contrary of one that the quote has and the claim has not."""
    lost = theirs.stems - mine.stems
    for word in sorted(mine.stems - theirs.stems):
        found = opposite_in(word, lost)
        if found and bool(mine.denied) == bool(theirs.denied):
            return f"says “{word}” where its quote says “{found}”"
    return None


def strength(mine: Wording, theirs: Wording) -> str | None:
    """`may` became `must`, `some` became `all`, on the same word."""
    for ranks in RANKS.values():
        meant = dict(_ranked(theirs, ranks))
        for on, (word, rank) in _ranked(mine, ranks):
            if on in meant and rank != meant[on][1] and word not in theirs.stems:
                return f"says “{word}” where its quote says “{meant[on][0]}”"
    return None


def _ranked(words: Wording, ranks: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each word of a class by the next word of content."""
    for at, token in enumerate(words.tokens):
        rank = ranks.get(token.form.lower())
        if rank:
            following = (t.stem for t in words.tokens[at + 1 : at + 6] if t.is_content)
            if on := next(following, None):
                yield on, (token.form.lower(), rank)


def foreign_matter(mine: Wording, theirs: Wording) -> str | None:
    """Both are in one language, and the claim has hardly a word of its quote."""
    if len(mine.content) < CONTENT_MIN or not (mine.stems - mine.content) & (
        theirs.stems - theirs.content
    ):
        return None
    if len(mine.content & theirs.content) < OVERLAP_MIN * len(mine.content):
        return "speaks of something else than its quote"
    return None
