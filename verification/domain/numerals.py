"""How numbers are spelled: figures by value, and the words for them."""

from __future__ import annotations

import re

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_MORE = " fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS: dict[str, str] = {
    **{word: str(value) for value, word in enumerate((_ONES + _MORE).split())},
    **{word: str(value) for value, word in zip(range(20, 100, 10), _TENS.split(), strict=True)},
    "twice": "2",
    "thrice": "3",
    "dozen": "12",
}
ORDINALS: dict[str, str] = {
    word: str(value)
    for value, word in enumerate(
        "second third fourth fifth sixth seventh eighth ninth tenth".split(), start=2
    )
}


def plain_number(text: str) -> str:
    """By value as far as spelling allows: without leading zeros, thousands' commas, last zeros."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        text = text.replace(",", "")
    if re.fullmatch(r"\d+\.\d+", text):
        text = text.rstrip("0").rstrip(".")
    return text.lstrip("0") or "0"
