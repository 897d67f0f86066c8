"""Which sentences of a corpus are worth quoting. No model: rarity, figures, names, the question.

The score is the sum of idf over a sentence's words, divided by the root of their number (so that
long sentences do not win by length), with more for figures and names. With a question, sentences
that share no word with it are left out, and shared words count by their rarity.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from workers.corpus.reading import Document
from workers.corpus.sentences import one_line, spans
from workers.corpus.suspicion import flaw

SENTENCES_MAX = 50_000  # weighed, of all documents together
WORDS_MIN = 4
PROSE_USUAL, PROSE_MIN = 0.75, 0.45  # shares of plain words: from where it counts; at all
ALIKE = 0.8  # of the words of two sentences together: then they say the same
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d[\d.,]*%?")
_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_NAME = re.compile(r"(?<=[^\W\d_,;:)] )[A-ZÀ-Þ][^\W\d_]{2,}")
_CODE = re.compile(r"[{}]\s*$|\);|=>|==|!=|\s=\s.*;")
_SIGNS = frozenset("=<>{}|\\$#@_/~^")
_STOP = frozenset(
    (
        "a about after all also an and any are as at be been before being but by can could did do"
        " does each for from had has have he her his how i if in into is it its just me more most"
        " my no not of on one only or other our out over own she should so some such than that the"
        " their them then there these they this those to under up very was we were what when where"
        " which while who whom whose why will with would you your"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence: `quote` is exactly `document.text[start:end]`; `text` is it on one line."""

    document: Document
    start: int
    end: int
    score: float

    @property
    def quote(self) -> str:
        return self.document.text[self.start : self.end]

    @property
    def text(self) -> str:
        return one_line(self.quote)


@dataclass(frozen=True, slots=True)
class Chosen:
    """`findings` in order of document and place; `refused` are sentences not passed on, with why;
    `unread`: sentences that were too many to weigh; `answered`: some shared words with the question.
    """

    findings: tuple[Finding, ...]
    refused: tuple[tuple[Finding, str], ...] = ()
    unread: int = 0
    answered: bool = True


def salient(documents: Sequence[Document], *, question: str = "", most: int = 40) -> Chosen:
    """The best `most` sentences, each document's best among them where there is no question."""
    each = max(1, SENTENCES_MAX // max(1, len(documents)))
    found: list[tuple[Finding, frozenset[str]]] = []
    refused: list[tuple[Finding, str]] = []
    unread = 0
    for document in documents:
        places = list(spans(document.text))
        unread += max(0, len(places) - each)
        for span in places[:each]:
            finding = Finding(document, span.start, span.end, 0.0 if span.complete else -1.5)
            if why := flaw(finding.quote):
                refused.append((finding, why))
            elif prose(finding.quote) < PROSE_MIN:
                continue
            elif len(bag := words(finding.quote)) >= WORDS_MIN:
                found.append((finding, bag))
    asked = words(question)
    scored = _scored(found, asked)
    related = [one for one in scored if one[1] & asked]
    ranked = sorted(related or scored, key=lambda one: -one[0].score)
    if not related:
        ranked = _best_of_each_first(ranked, most // 2)
    kept = _without_repeats(ranked, most)
    ordered = tuple(sorted(kept, key=lambda f: (f.document.source, f.start)))
    return Chosen(ordered, tuple(refused), unread, bool(related) or not asked)


def words(text: str) -> frozenset[str]:
    """What a text is about: its words without the commonest, plurals and tenses folded; scripts
    without spaces by pairs of characters."""
    plain = _RUN.sub(" ", text)
    found = {_folded(word.lower()) for word in _WORD.findall(plain)} - _STOP
    for run in _RUN.findall(text):
        found.update(run[n : n + 2] for n in range(max(1, len(run) - 1)))
    return frozenset(found)


def _folded(word: str) -> str:
    """Crude on purpose: it only has to fold two forms of one word alike."""
    word = word.removesuffix("'s").removesuffix("’s")
    if not word.isascii() or word in _STOP or not word.isalpha():
        return word
    for ending, instead, left in (("ies", "y", 2), ("ing", "", 4), ("ed", "", 4), ("es", "", 4)):
        if word.endswith(ending) and len(word) - len(ending) >= left:
            return word[: -len(ending)] + instead
    folded = word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
    return folded[:-1] if folded.endswith("e") and len(folded) > 4 else folded


def _scored(
    found: Sequence[tuple[Finding, frozenset[str]]], asked: frozenset[str]
) -> list[tuple[Finding, frozenset[str]]]:
    counts = Counter(word for _, bag in found for word in bag)
    rarity = {word: math.log(1 + len(found) / count) for word, count in counts.items()}
    return [
        (Finding(f.document, f.start, f.end, f.score + _score(f.quote, bag, rarity, asked)), bag)
        for f, bag in found
    ]


def _score(
    text: str, bag: frozenset[str], rarity: dict[str, float], asked: frozenset[str]
) -> float:
    telling = sum(rarity[word] for word in sorted(bag)) / math.sqrt(len(bag))
    figures = 0.8 * any(c.isdigit() for c in text)
    names = 0.3 * min(len(_NAME.findall(text)), 3)
    shared = sum(rarity[word] for word in sorted(bag & asked))
    unlike = 4.0 * max(0.0, PROSE_USUAL - prose(text))
    is_question = text.endswith("?")
    return telling / 4 + figures + names + 2.0 * shared - unlike - is_question


def prose(text: str) -> float:
    """The share of its words that are words: low for tables, listings and dumps."""
    if _CODE.search(text):
        return 0.0
    tokens = text.split()
    plain = [t for t in tokens if not _SIGNS & set(t) and sum(map(str.isalpha, t)) >= 0.6 * len(t)]
    return len(plain) / (len(tokens) or 1)


def _best_of_each_first(
    ranked: Sequence[tuple[Finding, frozenset[str]]], most: int
) -> list[tuple[Finding, frozenset[str]]]:
    """Up to `most` documents' best sentence, then the others: no document drowns the rest."""
    best: dict[str, tuple[Finding, frozenset[str]]] = {}
    for one in ranked:
        best.setdefault(one[0].document.source, one)
    first = list(best.values())[:most]
    ahead = {id(finding) for finding, _ in first}
    return first + [one for one in ranked if id(one[0]) not in ahead]


def _without_repeats(ranked: Sequence[tuple[Finding, frozenset[str]]], most: int) -> list[Finding]:
    kept: list[Finding] = []
    bags: list[frozenset[str]] = []
    for finding, bag in ranked:
        if len(kept) >= most:
            break
        if not any(_alike(bag, other) for other in bags):
            kept.append(finding)
            bags.append(bag)
    return kept


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """Figures that differ make two sentences differ: `2023` and `2024` are not the same news."""
    if min(len(one), len(other)) <= ALIKE * max(len(one), len(other)):
        return False
    if any(word[0].isdigit() for word in one ^ other):
        return False
    return len(one & other) > ALIKE * len(one | other)
