"""The numbers and units of a text, by value as far as spelling allows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from verification.domain.numerals import ORDINALS, WORDS, plain_number
from verification.domain.opposites import UNITS
from verification.domain.wording import Wording

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_VERSION = re.compile(r"(?:\b[A-Z][\w+#-]*|\bv|\bversions?|\breleases?|[<>=~]=?)\s*$")
_WORD = re.compile(r"[A-Za-z]+")


def number_added(text: str, quote: str) -> str | None:
    """The first number of `text` that is not in `quote`. Values count, not spelling: 1,000 and 1000
    are one, 1.50 and 1.5, two and 2 too; but the 3.10 of `Python 3.10`, a version, is not 3.1."""
    forms, values = set(), set()
    for form, is_version in _numbers(quote):
        forms.add(form)
        if not is_version:
            values.add(plain_number(form))
    for form, is_version in _numbers(text):
        if form not in forms and (is_version or plain_number(form) not in values):
            return plain_number(form) if not is_version else form
    return None


def _numbers(text: str) -> Iterator[tuple[str, bool]]:
    for match in _NUMBER.finditer(text):
        is_version = _VERSION.search(text, max(0, match.start() - 30), match.start())
        form = match[0].lstrip("0") or "0"
        yield form, bool(is_version) and "." in form
    for word in map(str.lower, _WORD.findall(text)):
        if word in WORDS:
            yield WORDS[word], False


def ordinals(text: str) -> set[str]:
    return {w for w in map(str.lower, _WORD.findall(text)) if w in ORDINALS}


def measures(words: Wording) -> Iterator[tuple[str, str, str]]:
    """Each number that has a unit: its value, the unit's name, the unit as written."""
    for token, following in zip(words.tokens, words.tokens[1:], strict=False):
        value = token.form if token.kind == "number" else WORDS.get(token.form.lower())
        unit = UNITS.get(following.form.lower())
        glued = re.fullmatch(r"(\d+)([A-Za-zµ]{1,2})", token.form)
        if value and unit:
            yield plain_number(value), unit, following.form
        elif glued and glued[2].lower() in UNITS:
            yield plain_number(glued[1]), UNITS[glued[2].lower()], glued[2]
