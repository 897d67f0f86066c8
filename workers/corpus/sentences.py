"""Which sentences of a corpus say something worth quoting. No model: figures, names and rarity.

A sentence that speaks to whoever reads it ("ignore previous instructions") is data like any
other, but it is never put forward as a claim.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.corpus.reading import Document

CHARS_MIN, CHARS_MAX = 30, 400
_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?=\d)[^.!?\n]+)*[.!?]?")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+|\d[\d.,]*%?")
_NAME = re.compile(r"\b[A-Z][a-z]{2,}\b")
_NUMBER = re.compile(r"\d")
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,40}\b(?:instructions?|rules?|prompts?|above|previous)\b"
    r"|\byou (?:must|are) now\b|\bsystem prompt\b|<\s*/?\s*(?:system|tool|assistant)\b",
    re.IGNORECASE,
)
_STOP = frozenset(
    (
        "the a an and or of to in is are was were be been it its this that these those for on with"
        " as by at from not no but if then than so can may will would should has have had do does"
        " did we you they he she i our your their"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text` is exactly `document.text[start:end]`."""

    document: Document
    start: int
    end: int
    score: float

    @property
    def text(self) -> str:
        return self.document.text[self.start : self.end]


def salient(
    documents: Sequence[Document], *, question: str = "", most: int = 40
) -> tuple[list[Sentence], list[tuple[Document, tuple[int, int]]]]:
    """The best sentences, in order of document and position; and those that give orders.

    Score: the mean rarity of its words (idf over the corpus' sentences), more for figures, names
    and words of the question. A sentence that says what a better one says already is left out.
    """
    found, orders = [], []
    for document in documents:
        for start, end in spans(document.text):
            text = document.text[start:end]
            if _ORDERS.search(text):
                orders.append((document, (start, end)))
            else:
                found.append((document, start, end, words(text)))
    counts = Counter(word for _, _, _, bag in found for word in bag)
    asked = words(question)
    scored = [
        Sentence(d, s, e, _score(d.text[s:e], bag, counts, len(found), asked))
        for d, s, e, bag in found
        if len(bag) >= 4
    ]
    if asked and any(words(s.text) & asked for s in scored):
        scored = [s for s in scored if words(s.text) & asked]
    return _without_repeats(sorted(scored, key=lambda s: -s.score), most), orders


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence; headings, list marks and table rows are not sentences."""
    at = 0
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", "|", "```", "---", "===")):
            offset = at + len(line) - len(line.lstrip(" \t-*+>0123456789.)"))
            for match in _SENTENCE.finditer(text, offset, at + len(line)):
                start, end = match.start(), match.end()
                while start < end and text[start].isspace():
                    start += 1
                while end > start and text[end - 1].isspace():
                    end -= 1
                if CHARS_MIN <= end - start <= CHARS_MAX:
                    yield start, end
        at += len(line)


def words(text: str) -> frozenset[str]:
    return frozenset(w.lower() for w in _WORD.findall(text)) - _STOP


def _score(
    text: str, bag: frozenset[str], counts: Counter[str], total: int, asked: frozenset[str]
) -> float:
    rarity = sum(math.log(1 + total / counts[w]) for w in bag) / math.sqrt(len(bag) or 1)
    figures = 0.8 * bool(_NUMBER.search(text))
    names = 0.3 * min(len(_NAME.findall(text[1:])), 3)
    return rarity / 4 + figures + names + 2.0 * len(bag & asked) - 1.0 * text.endswith("?")


def _without_repeats(ranked: Sequence[Sentence], most: int) -> list[Sentence]:
    kept: list[Sentence] = []
    bags: list[frozenset[str]] = []
    for sentence in ranked:
        bag = words(sentence.text)
        if any(len(bag & other) > 0.8 * len(bag | other) for other in bags):
            continue
        kept.append(sentence)
        bags.append(bag)
        if len(kept) >= most:
            break
    return sorted(kept, key=lambda s: (s.document.source, s.start))
