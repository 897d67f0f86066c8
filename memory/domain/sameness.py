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
_LEAD = re.compile(
    r"^\s*(?:(?:please\s+)?(?:note|remember|be aware)(?:\s+that\b|\s*:)|fyi\b[,:]?|for the record[,:]"
    r"|just so you know[,:]|by the way[,:]|reminder:)\s*",
    re.IGNORECASE,
)


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
    for pattern, plain in _SPELLINGS:
        text = pattern.sub(plain, text)
    return text


def _bare(word: str) -> str:
    bare = word.lstrip(_OPENING).rstrip(_CLOSING)
    return bare.lower() if bare[1:].islower() or len(bare) == 1 else bare
