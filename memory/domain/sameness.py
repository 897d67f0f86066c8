"""When two texts say the same, and what is not worth a row.

Vectors cannot tell "A calls B" from "B calls A", and long sentences that differ in one name are
alike to .95 and more. So texts count as the same only when they agree word for word, in order, once
articles, the punctuation of sentences and capitals at the start of words are set aside. Anything
less would lose what they differ in: a number, a name, a denial, a question mark. What is spelled in
two ways is one word all the same ("don't" and "do not", "1,000" and "1000", "20MB" and "20 MB"), and
"please note that" in front says nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

_EMPTY_WORDS = frozenset(
    (
        "a",
        "an",
        "the",
        "is",
        "are",
        "am",
        "be",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "there",
    )
)
_OPENING = "([{\"'`“‘"
_CLOSING = ")]}\"'`”’.,;:!…"
_NOISE = frozenset(
    (
        "ok", "okay", "done", "thanks", "thank you", "yes", "no", "ack", "acknowledged", "got it",
        "heartbeat", "ping", "pong", "sure", "n/a", "none", "null", "working on it",
    )
)  # fmt: skip
_FILLERS = frozenset(
    (
        "again",
        "also",
        "just",
        "now",
        "then",
        "so",
        "well",
        "please",
        "note",
        "noted",
        "remember",
        "reminder",
    )
)
_DENIALS = frozenset(("no", "not", "never", "none", "without", "cannot", "neither", "nor"))
LETTERS_MIN = 3
# 's and 'd are left alone: they may be "is" or "has", "would" or "had", or say whose it is.
_SPELLINGS = tuple(
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"\bcan(?:no|')t\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"n't\b", " not"),
        (r"'re\b", " are"),
        (r"'ve\b", " have"),
        (r"'ll\b", " will"),
        (r"\bi'm\b", "i am"),
        (r"(?<=\d),(?=\d{3}\b)", ""),
        (r"(?<=\d)\s*(?:%|percent\b)", " percent"),
        (
            r"(?<![\w.])(\d+(?:\.\d+)?)\s?(ms|kb|mb|gb|tb|min|hours|minutes|seconds|days)\b",
            r"\1 \2",
        ),
    )
)
# Most texts have none of it, and one look is cheaper than ten.
_TWO_WAYS = re.compile(r"'|cannot|\d(?:,\d{3}|\s*%|\s*percent|\s?[a-z]{2})", re.IGNORECASE)
_LEAD = re.compile(
    r"^\s*(?:(?:please\s+)?(?:note|remember|be aware)(?:\s+that\b|\s*:)|fyi\b[,:]?|for the record[,:]"
    r"|just so you know[,:]|by the way[,:]|reminder:)\s*",
    re.IGNORECASE,
)
ALIKE_SHARE = 0.05  # of the words of a text that may differ in one like it
PARTS = 4  # that the words of a text are dealt into to find texts like it
COMPARED_MAX = 20  # texts that share a part, the latest ones
ALIKE_WORDS_MIN = 20  # a shorter text in which a word differs says something else


def gist(text: str) -> tuple[str, ...]:
    """The words that carry a text's sense, in order; a question keeps its mark."""
    words = (_bare(word) for word in _spelled(text).split())
    return tuple(word for word in words if word and word not in _EMPTY_WORDS)


def is_noise(text: str) -> bool:
    """Nothing worth a row: empty, or a bare acknowledgement."""
    bare = text.strip().lower().rstrip(".!… ")
    return sum(map(str.isalnum, bare)) < LETTERS_MIN or bare in _NOISE


def _spelled(text: str) -> str:
    """Without a lead, and with one spelling for what has two."""
    text = _LEAD.sub("", text.replace("’", "'"), count=1)
    if not _TWO_WAYS.search(text):
        return text
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    return text


def _bare(word: str) -> str:
    bare = word.lstrip(_OPENING).rstrip(_CLOSING)
    return bare.lower() if bare[1:].islower() or len(bare) == 1 else bare


def essence(text: str) -> tuple[str, ...]:
    """The gist without words that add nothing, such as "again" and "please"."""
    return tuple(word for word in gist(text) if word.lower() not in _FILLERS)


def echoes(text: str, before: str) -> bool:
    """Whether `text` says what `before` says: word for word, give or take words that add nothing."""
    said = essence(text)
    return bool(said) and said == essence(before)


def alike(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two essences differ in no more than a word in twenty, and in no number or denial. The texts
    may say different things all the same: this is for figures, not for merging."""
    if abs(len(one) - len(other)) > len(one) * ALIKE_SHARE:
        return False
    most = 2 * len(one) * ALIKE_SHARE
    if len(set(one) ^ set(other)) > most:  # most pairs, and cheaper to see than by counting
        return False
    differs = Counter(one) - Counter(other), Counter(other) - Counter(one)
    changed = [word for side in differs for word in side.elements()]
    return len(changed) <= most and not any(map(_weighs, changed))


def _weighs(word: str) -> bool:
    """A word that always changes what is said: a number, a denial."""
    return any(map(str.isdigit, word)) or word in _DENIALS or "n't" in word


def near_duplicates(rows: Iterable[tuple[int, str]]) -> dict[int, bool]:
    """Ids of the rows that echo an earlier one of `rows` (True) or, where they are long, are alike.

    Two such texts differ in a few words, so of `PARTS` parts that their words are dealt into, by the
    word, one at least is the same: only texts that share a part are compared.
    """
    seen: set[tuple[str, ...]] = set()
    by_part: dict[tuple[int, frozenset[str]], list[tuple[str, ...]]] = {}
    found: dict[int, bool] = {}
    for row_id, text in rows:
        said = essence(text)
        if said in seen:
            found[row_id] = True
        elif len(said) >= ALIKE_WORDS_MIN:
            shared = [by_part.setdefault(key, []) for key in _parts(said)]
            if any(alike(said, other) for others in shared for other in others[-COMPARED_MAX:]):
                found[row_id] = False
            for others in shared:
                others.append(said)
        seen.add(said)
    return found


def _parts(words: Sequence[str]) -> Iterator[tuple[int, frozenset[str]]]:
    dealt: list[set[str]] = [set() for _ in range(PARTS)]
    for word in words:
        dealt[crc32(word.encode("utf-8", "replace")) % PARTS].add(word)
    return ((part, frozenset(some)) for part, some in enumerate(dealt) if some)
