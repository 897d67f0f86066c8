"""Whether a claim stands on its quote: the quote is where it says, and the claim's own words say
nothing that the quote does not: no other number, unit or name, no negation more or fewer, no word
turned into its opposite, no matter of its own.

Rules for claims that keep near their quote; they know English. More than this (that a free paraphrase
follows from the quote) needs a judgement; see `semantic`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from verification.domain.alignment import changed, exchanged
from verification.domain.literal import (
    foreign_matter,
    name_added,
    opposite,
    polarity,
    strength,
    subject_unknown,
)
from verification.domain.quantities import measures, number_added, ordinals
from verification.domain.wording import letters, plain, same_letters, wording

SHOWN = 60
_SAYING = (
    r"(?:says?|said|states?|stated|notes?|noted|reports?|reported|claims?|claimed|writes?|wrote"
    r"|explains?|explained|mentions?|mentioned|adds?|describes?|documents?|warns?|tells?(?: us)?)"
)
# What comes before the claim proper: `According to X,`, `X says that`, `As X notes,`.
_FRAME = re.compile(
    rf"(?:according to [^,;:]{{1,120}}[,:]|as [^,;:]{{1,80}} {_SAYING},"
    rf"|(?:in|per) (?:the )?[^,;:]{{1,80}}, it {_SAYING}(?: that\b|:)?"
    rf"|[^,;:.]{{1,80}} {_SAYING}(?: that\b|:|,))\s+",
    re.IGNORECASE,
)


def claim_fault(claim: Mapping[str, Any], source_text: str | None) -> str | None:
    """Why the claim is not grounded; None when it is. `source_text` is None when there is no
    such source."""
    quote, source = str(claim.get("quote", "")), str(claim.get("source", ""))
    if source_text is None:
        return f"names the source `{source}`, which is not there to read"
    if not quote.strip():
        return "gives no quote"
    if fault := place_fault(claim, quote, source, source_text):
        return fault
    return text_fault(str(claim.get("text", "")), quote, f"{source} {source_text}")


def place_fault(claim: Mapping[str, Any], quote: str, source: str, source_text: str) -> str | None:
    """White space may differ, as when lines were joined, and the form of quotation marks."""
    start, end = claim.get("start"), claim.get("end")
    has_place = isinstance(start, int) and isinstance(end, int) and 0 <= start <= end
    if has_place and same_letters(source_text[start:end], quote):
        return None
    at = source_text.find(quote)
    if at < 0 and letters(quote) not in letters(source_text):
        shown = quote if len(quote) <= SHOWN else quote[:SHOWN] + "…"
        return f"quotes words that are nowhere in `{source}`: “{shown}”"
    if not has_place:
        return f"gives no position in `{source}`: [{start}, {end})"
    where = f"at {at}" if at >= 0 else "elsewhere"
    return f"quotes `{source}` at [{start}, {end}), but those words stand {where}"


def text_fault(text: str, quote: str, context: str = "") -> str | None:
    """What the claim's own words say that its quote does not. `context` is the whole source, where
    a name may stand for which the quote says `it`."""
    if not text.strip():
        return "says nothing"
    return next(_faults(text, quote, context), None)


def _faults(text: str, quote: str, context: str) -> Iterator[str]:
    frame, said = framed(text)
    mine, theirs = wording(said), wording(quote)
    if unknown := name_added(wording(frame), theirs, context, is_frame=True):
        yield f"has it from {unknown}, which its source does not know"
    if number := number_added(plain(said), plain(quote)):
        yield f"has the number {number}, which its quote does not have"
    if added := sorted(ordinals(said) - ordinals(quote)):
        yield f"says “{added[0]}”, which its quote does not"
    yield from _unit_fault(said, quote)
    if unknown := name_added(mine, theirs, context):
        yield f"names {unknown}, which its quote does not"
    if context and (unknown := subject_unknown(mine, theirs, context)):
        yield f"speaks of {unknown}, which its source does not"
    yield from filter(None, (rule(mine, theirs) for rule in (polarity, opposite, strength)))
    yield from filter(None, (rule(mine, theirs) for rule in (changed, exchanged, foreign_matter)))


def framed(text: str) -> tuple[str, str]:
    """`According to X, it lasted.` as `According to X,` and `it lasted.`"""
    match = _FRAME.match(text.strip())
    return (match[0], text.strip()[match.end() :]) if match else ("", text)


def _unit_fault(text: str, quote: str) -> Iterator[str]:
    theirs: dict[str, set[str]] = {}
    for value, unit, _ in measures(wording(quote)):
        theirs.setdefault(value, set()).add(unit)
    for value, unit, shown in measures(wording(text)):
        if value in theirs and unit not in theirs[value]:
            yield f"says {value} {shown}, and its quote another unit"
