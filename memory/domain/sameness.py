"""When two texts say the same, and what is not worth a row.

Vectors cannot tell "A calls B" from "B calls A", and long sentences that differ in one name are
alike to .95 and more. So texts count as the same only when they agree word for word, in order, once
articles, the punctuation of sentences and capitals at the start of words are set aside. Anything
less would lose what they differ in: a number, a name, a denial, a question mark.
"""

from __future__ import annotations

_EMPTY_WORDS = frozenset(
    ("a", "an", "the", "is", "are", "be", "it", "its", "this", "that", "these", "those", "there")
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


def gist(text: str) -> tuple[str, ...]:
    """The words that carry a text's sense, in order; a question keeps its mark."""
    words = (_bare(word) for word in text.split())
    return tuple(word for word in words if word and word not in _EMPTY_WORDS)


def is_noise(text: str) -> bool:
    """Nothing worth a row: empty, or a bare acknowledgement."""
    bare = text.strip().lower().rstrip(".!… ")
    return sum(map(str.isalnum, bare)) < LETTERS_MIN or bare in _NOISE


def _bare(word: str) -> str:
    bare = word.lstrip(_OPENING).rstrip(_CLOSING)
    return bare.lower() if bare[1:].islower() or len(bare) == 1 else bare
