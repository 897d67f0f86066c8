"""Whether a claim stands on its quote: the quote is where it says, and the claim adds no number and
drops no negation.

More than this (that the claim follows from the quote) needs a judgement; see `semantic`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NEGATION = re.compile(
    r"(?i)\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot)\b|n['\u2019]t\b"
)
SHOWN = 60


def claim_fault(claim: Mapping[str, Any], source_text: str | None) -> str | None:
    """Why the claim is not grounded; None when it is. `source_text` is None when there is no
    such source."""
    quote, source = str(claim.get("quote", "")), str(claim.get("source", ""))
    if source_text is None:
        return f"names the source `{source}`, which is not there to read"
    if not quote.strip():
        return "gives no quote"
    if quote not in source_text:
        shown = quote if len(quote) <= SHOWN else quote[:SHOWN] + "…"
        return f"quotes words that are nowhere in `{source}`: “{shown}”"
    start, end = claim.get("start"), claim.get("end")
    if not isinstance(start, int) or not isinstance(end, int) or start < 0 or end < start:
        return f"gives no position in `{source}`: [{start}, {end})"
    if source_text[start:end] != quote:
        at = source_text.find(quote)
        return f"quotes `{source}` at [{start}, {end}), but those words stand at {at}"
    return text_fault(str(claim.get("text", "")), quote)


def text_fault(text: str, quote: str) -> str | None:
    """What the claim's own words say that its quote does not."""
    if not text.strip():
        return "says nothing"
    if added := sorted(_numbers(text) - _numbers(quote)):
        return f"has the number {added[0]}, which its quote does not have"
    if _NEGATION.search(text) and not _NEGATION.search(quote):
        return "denies something, and its quote does not"
    if _drops_negation(text, quote):
        return "leaves out the negation of its quote"
    return None


def _numbers(text: str) -> set[str]:
    """Numbers by value as far as spelling allows: 1,000 and 1000 are one, 1.50 and 1.5 too."""
    return {_plain_number(match[0]) for match in _NUMBER.finditer(text)}


def _plain_number(text: str) -> str:
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    if re.fullmatch(r"\d+\.\d+", text):
        text = text.rstrip("0").rstrip(".")
    return text.lstrip("0") or "0"


def _drops_negation(text: str, quote: str) -> bool:
    """The claim uses only words of its quote, and of those not the negation. A claim that is a
    stretch of its quote, word for word, is left to the reader: the negation may be elsewhere."""
    if _NEGATION.search(text) or not _NEGATION.search(quote):
        return False
    if " ".join(text.split()).rstrip(".!;") in " ".join(quote.split()):
        return False
    return _words(text) <= _words(quote)


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
