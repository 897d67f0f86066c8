"""Claims that do not stand: each maker spoils what a sentence says, or where it is said to stand.

The words that are turned round are listed here for themselves; the rules have another list.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from verification.measuring.claims import collapsed, framed, one, raised
from verification.measuring.documents import Sentence
from verification.measuring.standing import Made, Maker, widened

_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?![\w])")
_NUMBER_WORDS = "two three four five six seven eight nine ten twelve twenty hundred".split()
_WORD_NUMBER = re.compile(rf"\b(?:{'|'.join(_NUMBER_WORDS)})\b")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][A-Za-z]{2,}\b(?!\.\w)")
_PRONOUN = re.compile(r"^(?:It|This|They|These)(?= (?:is|are|has|was|does|can|will)\b)")
_FIRST_NAME = re.compile(
    r"^(?!This|They|There|These|That|What)[A-Z][a-z]{3,}"
    r"(?= (?:is|are|has|was|does|can|will|provides|supports|uses)\b)"
)
_DENIABLE = re.compile(
    r"\b(is|are|was|were|can|could|will|would|must|should|may|might|does|do|has been|have been)\b"
    r"(?! not\b|n't|n’t| no\b| never\b| none\b| only\b)"
)
_DENIED = re.compile(r"\b(?:not|never) |n't\b|n’t\b|\bno (?=[a-z])|\bwithout\b")
_UNITS = (
    "seconds minutes", "minutes hours", "hours days", "days weeks", "weeks months", "months years",
    "KB MB", "MB GB", "GB TB", "kB MB", "KiB MiB", "MiB GiB", "bytes bits", "milliseconds seconds",
    "ms s", "% times", "million billion", "percent times",
)  # fmt: skip
_MONTHS = (
    "January February March April June July August September October November December Monday"
    " Tuesday Wednesday Thursday Friday Saturday Sunday"
).split()
_CONTRARY = (
    "always never", "before after", "more less", "first last", "all none", "true false",
    "enabled disabled", "increase decrease", "increases decreases", "faster slower", "larger smaller",
    "highest lowest", "minimum maximum", "required optional", "with without", "left right",
    "above below", "inside outside", "start end", "open close", "public private", "valid invalid",
    "supported unsupported", "same different", "positive negative", "easy difficult", "old new",
    "older newer", "read write", "input output", "include exclude", "includes excludes",
    "allow forbid", "allows forbids", "success failure", "add remove", "adds removes", "safe unsafe",
    "longer shorter", "greater less", "local remote", "mutable immutable", "better worse",
    "explicitly implicitly", "high low", "empty full", "possible impossible", "known unknown",
    "available unavailable", "equal unequal", "stable unstable", "directly indirectly",
)  # fmt: skip
_STRENGTH = (
    "must may", "may must", "should must", "can must", "some all", "many all", "most all",
    "all some", "every some", "sometimes always", "often always", "usually always", "always sometimes",
    "might must", "several all",
)  # fmt: skip


def number_altered(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    text = collapsed(sentence.quote)
    places = list(_NUMBER.finditer(text))
    if not places:
        return None
    place = random.choice(places)
    changed = _other_number(place[0], random)
    return _told(sentence, text[: place.start()] + changed + text[place.end() :], random)


def _other_number(text: str, random: Random) -> str:
    """One digit other, two digits exchanged, one more, or one less."""
    digits = [at for at, sign in enumerate(text) if sign.isdigit()]
    at = random.choice(digits)
    other = random.choice([d for d in "123456789" if d != text[at]])
    ways = [text[:at] + other + text[at + 1 :], text + random.choice("123456789")]
    if len(digits) > 1 and text[digits[-1]] != text[digits[-2]] and text.isdigit():
        ways.append(text[:-2] + text[-1] + text[-2])
    if text.isdigit() and len(text) > 1:
        ways.append(text[:-1])
    return random.choice([way for way in ways if way.lstrip("0") != text.lstrip("0")])


def number_word_altered(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    text = collapsed(sentence.quote)
    return _replaced(
        sentence, text, _WORD_NUMBER, lambda was: _other(_NUMBER_WORDS, was, text, random), random
    )


def numbers_exchanged(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    return _exchanged(sentence, _NUMBER, random)


def names_exchanged(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    return _exchanged(sentence, _NAME, random)


def name_swapped(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """For one of another sentence, of this document where it has one."""
    text = collapsed(sentence.quote)
    near = [s for s in every if s.source is sentence.source]
    names = _names(near) or _names(random.sample(list(every), min(len(every), 200)))
    return _replaced(sentence, text, _NAME, lambda was: _other(names, was, text, random), random)


def subject_swapped(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """The name with which the sentence begins."""
    text = collapsed(sentence.quote)
    names = _names(random.sample(list(every), min(len(every), 400)))
    return _replaced(
        sentence, text, _FIRST_NAME, lambda was: _other(names, was, text, random), random
    )


def pronoun_misled(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """`It` with a name of which the document knows nothing."""
    text, source = collapsed(sentence.quote), sentence.source.text
    names = _names(random.sample(list(every), min(len(every), 400)))
    return _replaced(
        sentence, text, _PRONOUN, lambda was: _other(names, was, source, random), random
    )


def negation_added(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    text = collapsed(sentence.quote)
    return _replaced(sentence, text, _DENIABLE, lambda was: f"{was} not", random)


def negation_dropped(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    text = collapsed(sentence.quote)
    return _replaced(
        sentence, text, _DENIED, lambda was: "with" if was == "without" else "", random
    )


def contrary(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    both = [pair.split() for pair in _CONTRARY]
    return _turned(sentence, [*both, *([b, a] for a, b in both)], random)


def strength_changed(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    return _turned(sentence, [pair.split() for pair in _STRENGTH], random)


def unit_changed(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    text = collapsed(sentence.quote)
    found = []
    for pair in _UNITS:
        for was, new in (pair.split(), pair.split()[::-1]):
            found += [
                (m, new) for m in re.finditer(rf"(?<=\d )?(?<=\d){was}\b|(?<=\d ){was}\b", text)
            ]
    if not found:
        return None
    match, new = random.choice(found)
    return _told(sentence, text[: match.start()] + new + text[match.end() :], random)


def date_changed(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    text = collapsed(sentence.quote)
    pattern = re.compile(rf"\b(?:{'|'.join(_MONTHS)})\b")
    return _replaced(
        sentence, text, pattern, lambda was: _other(_MONTHS, was, text, random), random
    )


def other_source(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """A quote that stands in another document, said to be of this one."""
    other = _elsewhere(sentence, every, random, same=False)
    if other is None or other.quote in sentence.source.text:
        return None
    at = {"source": sentence.source.name, "start": other.start, "end": other.end}
    return one(other).claim(collapsed(other.quote), **at)


def other_quote(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """A quote that stands where it is said to, and a claim of something else."""
    other = _elsewhere(sentence, every, random, same=random.random() < 0.5)
    return one(other).claim(collapsed(sentence.quote)) if other else None


def invented_quote(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """Half of this sentence and half of another, as if it stood here."""
    other = _elsewhere(sentence, every, random, same=True) or random.choice(list(every))
    words, others = sentence.quote.split(), other.quote.split()
    quote = " ".join([*words[: len(words) // 2], *others[len(others) // 2 :]])
    return None if other is sentence else one(sentence).claim(quote, quote=quote)


def mended_quote(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """The quote is altered as the claim is: with one word of another sentence."""
    words = sentence.quote.split()
    other = random.choice(list(every)).quote.split()
    at, word = random.randrange(1, len(words)), random.choice(other)
    if words[at].strip(".,").lower() == word.strip(".,").lower():
        return None
    quote = " ".join([*words[:at], word, *words[at + 1 :]])
    return one(sentence).claim(quote, quote=quote)


def wrong_place(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
    """A right quote, said to stand somewhere else in its source."""
    other = _elsewhere(sentence, every, random, same=True)
    shift = random.choice((-40, -7, -3, 3, 11, 60))
    start = other.start if other and random.random() < 0.5 else max(0, sentence.start + shift)
    end = start + len(sentence.quote)
    if start == sentence.start:
        return None
    return one(sentence).claim(collapsed(sentence.quote), start=start, end=end)


def no_source(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    return one(sentence).claim(collapsed(sentence.quote), source=f"{sentence.source.name}.old")


def _elsewhere(
    sentence: Sentence, every: Sequence[Sentence], random: Random, *, same: bool
) -> Sentence | None:
    """Another sentence, of the same document or of another."""
    for other in random.sample(list(every), min(len(every), 400)):
        if (other.source is sentence.source) == same and other is not sentence:
            return other
    return None


def _told(sentence: Sentence, text: str, random: Random) -> dict[str, Any]:
    """As the true claims are told: sometimes framed, sometimes with a wider quote."""
    said = framed(text, sentence, random) if random.random() < 0.25 else text
    return one(sentence).claim(said)


def _replaced(
    sentence: Sentence, text: str, pattern: re.Pattern[str], new: Any, random: Random
) -> Made:
    places = list(pattern.finditer(text))
    if not places:
        return None
    place = random.choice(places)
    put = new(place[0])
    if put is None:
        return None
    changed = raised(" ".join((text[: place.start()] + put + text[place.end() :]).split()))
    return _told(sentence, changed, random)


def _turned(sentence: Sentence, pairs: Sequence[Sequence[str]], random: Random) -> Made:
    text = collapsed(sentence.quote)
    found = [
        (match, new)
        for was, new in pairs
        for match in re.finditer(rf"(?<![\w'’-]){was}(?![\w-])", text)
    ]
    if not found:
        return None
    match, new = random.choice(found)
    return _told(sentence, text[: match.start()] + new + text[match.end() :], random)


def _exchanged(sentence: Sentence, pattern: re.Pattern[str], random: Random) -> Made:
    """Not two that are joined by `and`, which may change places."""
    text = collapsed(sentence.quote)
    places = list(pattern.finditer(text))
    for one_place, other in itertools.pairwise(places):
        between = text[one_place.end() : other.start()]
        if one_place[0] != other[0] and not _lists(text, one_place, other):
            changed = (
                text[: one_place.start()] + other[0] + between + one_place[0] + text[other.end() :]
            )
            return _told(sentence, changed, random)
    return None


def _lists(text: str, one_place: re.Match[str], other: re.Match[str]) -> bool:
    """`3 and 4`, `HTTP/1.1 or HTTP/2`: of equals, whose order says nothing."""
    between = text[one_place.end() : other.start()]
    before = re.search(r"[\w+]*[ /+]?$", text[: one_place.start()])
    bare = between.removesuffix(before[0]) if before else between
    joined = r"[\s,/&*\"'`-]*(?:and|or)?[\s,/&*\"'`-]*"
    return bool(re.fullmatch(joined, between) or re.fullmatch(joined, bare))


def _names(sentences: Sequence[Sentence]) -> list[str]:
    return sorted({m[0] for s in sentences for m in _NAME.finditer(collapsed(s.quote))})


def _other(words: Sequence[str], was: str, text: str, random: Random) -> str | None:
    left = [
        word for word in words if word.lower() not in text.lower() and was.lower() != word.lower()
    ]
    return random.choice(left) if left else None


def widely(maker: Maker) -> Maker:
    """The same, with a quote that has the next sentence too."""

    def make(sentence: Sentence, every: Sequence[Sentence], random: Random) -> Made:
        wide, made = widened(sentence, every), maker(sentence, every, random)
        return {**made, "quote": wide.quote, "end": wide.last.end} if wide and made else None

    return make


MAKERS: Mapping[str, Maker] = {
    "number altered": number_altered,
    "number word altered": number_word_altered,
    "numbers exchanged": numbers_exchanged,
    "unit changed": unit_changed,
    "month or day changed": date_changed,
    "name swapped": name_swapped,
    "subject swapped": subject_swapped,
    "pronoun given a wrong name": pronoun_misled,
    "names exchanged": names_exchanged,
    "negation added": negation_added,
    "negation dropped": negation_dropped,
    "negation added, wider quote": widely(negation_added),
    "negation dropped, wider quote": widely(negation_dropped),
    "number altered, wider quote": widely(number_altered),
    "name swapped, wider quote": widely(name_swapped),
    "contrary word": contrary,
    "strength changed": strength_changed,
    "quote from another source": other_source,
    "claim of something else": other_quote,
    "invented quote": invented_quote,
    "altered quote": mended_quote,
    "wrong place": wrong_place,
    "no such source": no_source,
}
