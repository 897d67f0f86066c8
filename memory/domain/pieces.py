"""A text as search sees it: pieces of at most 60 words.

Long answers drown the sentence that matters in a word count over the whole; in pieces, the best
piece speaks for the text.
"""

from __future__ import annotations

WORDS_MAX = 60
PIECES_MAX = 100


def pieces(text: str) -> list[str]:
    """At least one; the last holds what is beyond `PIECES_MAX`. Of like length, so that no piece is a
    remnant of three words."""
    words = text.split()
    count = min(max(-(-len(words) // WORDS_MAX), 1), PIECES_MAX)
    size = max(-(-len(words) // count), 1)
    return [" ".join(words[n * size : (n + 1) * size]) for n in range(count)]
