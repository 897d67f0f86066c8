"""How much something is worth keeping, without a model.

In an agent's log the strong signals are who said it and what kind it is; how much it says, names, numbers,
times, and what somebody says of themselves come second. Chatter of tools is worth least.
"""

from __future__ import annotations

import math
import re

KIND_PRIOR = {
    "directive": 2.0,
    "instruction": 2.0,
    "preference": 1.5,
    "decision": 1.5,
    "fact": 1.0,
    "error": 1.0,
    "result": 1.0,
    "note": 0.5,
    "progress": 0.0,
    "prose": 0.0,
    "tool": -1.0,
}
PRIOR_UNKNOWN = 0.5
USUAL = 0.85  # of a text of thirty words
_NAMES = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][a-zA-Z]{2,}")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_TIMES = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|deadline|until|before|since|ago|last|next|week(?:end)?|month|year|day"
    r"|morning|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|june|july|august"
    r"|september|october|november|december|\d{4}(?:-\d\d-\d\d)?)s?\b"
)
# What somebody says of themselves.
_OWN = re.compile(r"\b(?:i|i'm|i've|i'd|my|me|we|our|us|mine|myself)\b")


def importance_of(kind: str, text: str) -> float:
    """Around 0 for idle prose, over 2 for an instruction with names and figures."""
    words = len(set(text.lower().split()))
    return (
        KIND_PRIOR.get(kind, PRIOR_UNKNOWN)
        + 0.5 * math.log1p(min(words, 200))
        - USUAL
        + 0.15 * math.log1p(len(_OWN.findall(text.lower())))
        + 0.3 * min(len(_NAMES.findall(text)), 3) / 3
        + 0.3 * min(len(_NUMBERS.findall(text)), 2) / 2
        + 0.3 * min(len(_TIMES.findall(text.lower())), 2) / 2
        - (0.4 if "?" in text else 0.0)
    )
