"""Claims that stand, in the ways in which agents really write them. Each maker returns a claim or None
where the sentence does not lend itself to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from verification.measuring.claims import (
    Stretch,
    collapsed,
    framed,
    lowered,
    one,
    raised,
    stopped,
)
from verification.measuring.documents import Sentence

Made = dict[str, Any] | None
Maker = Callable[[Sentence, Sequence[Sentence], Random], Made]
WORDS_MIN = 4
_NUMBER_WORDS = dict(
    zip("two three four five six seven eight nine ten".split(), "23456789", strict=False)
)
_CONTRACTIONS = {
    "do not": "don't", "does not": "doesn't", "is not": "isn't", "are not": "aren't",
    "cannot": "can't", "will not": "won't", "did not": "didn't", "should not": "shouldn't",
    "can not": "can't", "has not": "hasn't", "it is": "it's", "you are": "you're",
}  # fmt: skip
_SUBORDINATE = "If|When|While|Because|Although|After|Before|Since|Once|Unless|By default"
_LEADING = re.compile(
    rf"((?:{_SUBORDINATE})\b[^,;:()]{{5,90}}|(?:In|On|For|With|By)\b[^,;:()]{{5,60}}), (.+)[.]$"
)
_TRAILING = re.compile(
    r"(.{15,}?) ((?:if|when|while|because|although|after|before|since|unless)\b[^,;:()]{8,})[.]$"
)
_CUT = re.compile(
    r"[,;:] (?!or\b|nor\b)|(?: [-–—]{1,3} )| (?=because|so that|which|where|when|if)\b"
)
_ASIDE = re.compile(
    r" \([^()]{3,80}\)|, (?:which|who)\b[^,;.]{5,80},|, (?:however|for example|e\.g\.|for instance),"
)
_ADVERB = re.compile(
    r"\b(?:also|currently|simply|therefore|usually|please|just|very|really) ", re.IGNORECASE
)


def verbatim(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    return one(sentence).claim(collapsed(sentence.quote))


def joined_lines(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    """The quote too is on one line, where the source breaks it."""
    if "\n" not in sentence.quote:
        return None
    text = collapsed(sentence.quote)
    return one(sentence).claim(text, quote=text)


def typographic(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    """Other quotation marks, apostrophes and dashes, in quote and claim."""
    quote = sentence.quote
    changed = quote.translate(str.maketrans("“”’—–", '""\'--'))
    if changed == quote:
        changed = re.sub(r"(?<=\w)'(?=\w)", "’", quote)
        changed = re.sub(r'"([^"]*)"', r"“\1”", changed)
    if changed == quote:
        return None
    return one(sentence).claim(collapsed(changed), quote=changed)


def attributed(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    return one(sentence).claim(framed(collapsed(sentence.quote), sentence, random))


def shortened(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    """The first part of the sentence, up to a comma or a conjunction."""
    text = collapsed(sentence.quote)
    cuts = [m.start() for m in _CUT.finditer(text) if len(text[: m.start()].split()) >= WORDS_MIN]
    if not cuts or text.lower().startswith(("if ", "when ", "while ", "although ", "unless ")):
        return None
    return one(sentence).claim(stopped(text[: random.choice(cuts)]))


def last_part(sentence: Sentence, _all: Sequence[Sentence], random: Random) -> Made:
    """A later part of the sentence, begun with a capital."""
    text = collapsed(sentence.quote)
    cuts = [m.end() for m in _CUT.finditer(text) if len(text[m.end() :].split()) >= WORDS_MIN]
    if not cuts:
        return None
    rest = re.sub(r"^(?:and|but|so|because|where|which|when|if) ", "", text[random.choice(cuts) :])
    return one(sentence).claim(raised(rest))


def reordered(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    """`If A, B.` as `B if A.`, and back."""
    text = collapsed(sentence.quote)
    if match := _LEADING.match(text):
        return one(sentence).claim(f"{raised(match[2])} {lowered(match[1])}.")
    if match := _TRAILING.match(text):
        return one(sentence).claim(f"{raised(match[2])}, {lowered(match[1])}.")
    return None


def respelled(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    """Contractions, number words, thousands, percent, the way others write them."""
    text = changed = collapsed(sentence.quote)
    for full, short in _CONTRACTIONS.items():
        if re.search(rf"\b{full}\b", changed):
            changed = re.sub(rf"\b{full}\b", short, changed)
        else:
            changed = re.sub(rf"\b{short}\b", full, changed.replace("’", "'"))
    changed = re.sub(r"\b(\d{1,3}),(\d{3})\b", r"\1\2", changed)
    changed = re.sub(r"(?<=\d)%", " percent", changed)
    changed = re.sub(
        rf"\b({'|'.join(_NUMBER_WORDS)})\b", lambda match: _NUMBER_WORDS[match[0]], changed
    )
    return one(sentence).claim(changed) if changed != text else None


def unmarked(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    """Without the marks of Markdown and reStructuredText."""
    text = collapsed(sentence.quote)
    changed = re.sub(r"`+|\*+", "", text)
    return one(sentence).claim(changed) if changed != text else None


def without_aside(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    text = collapsed(sentence.quote)
    changed = _ASIDE.sub("", text, count=1)
    if changed == text:
        changed = raised(_ADVERB.sub("", text, count=1))
    return one(sentence).claim(changed) if changed != text else None


def of_several(sentence: Sentence, every: Sequence[Sentence], _random: Random) -> Made:
    """The quote is longer than what is claimed: this sentence and the next."""
    wide = widened(sentence, every)
    return wide.claim(collapsed(sentence.quote)) if wide else None


def together(sentence: Sentence, every: Sequence[Sentence], _random: Random) -> Made:
    """Two sentences in one."""
    wide = widened(sentence, every)
    if wide is None:
        return None
    first, last = collapsed(sentence.quote).rstrip(".!"), collapsed(wide.last.quote)
    return wide.claim(f"{first}, and {lowered(last)}")


def resolved(sentence: Sentence, _all: Sequence[Sentence], _random: Random) -> Made:
    """`It …` with the name that the document has for it."""
    text, name = collapsed(sentence.quote), sentence.source.group
    changed = re.sub(r"^(?:It|They|This|We)(?= )", raised(name), text)
    is_named = (
        name.isalpha()
        and name != "six"
        and re.search(rf"\b{name}\b", sentence.source.text, re.IGNORECASE)
    )
    return one(sentence).claim(changed) if changed != text and is_named else None


def widened(sentence: Sentence, every: Sequence[Sentence]) -> Stretch | None:
    """With the sentence that follows it."""
    for other in every:
        if other.source is sentence.source and 0 < other.start - sentence.end <= 3:
            return Stretch(sentence, other)
    return None


MAKERS: Mapping[str, Maker] = {
    "verbatim": verbatim,
    "quote on one line": joined_lines,
    "other quotation marks": typographic,
    "attributed": attributed,
    "shortened": shortened,
    "last part": last_part,
    "reordered": reordered,
    "respelled": respelled,
    "without markup": unmarked,
    "without aside": without_aside,
    "one of two sentences": of_several,
    "two sentences in one": together,
    "pronoun resolved": resolved,
}
