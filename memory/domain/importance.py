"""How much something is worth keeping, without a model.

In an agent's log the strong signals are who said it and what kind it is; names, numbers and dates
in the text come second. Chatter of tools is worth least.
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
_NAMES = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][a-zA-Z]{2,}")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
_TIMES = re.compile(r"\b(?:today|tomorrow|yesterday|deadline|until|before|since|\d{4}-\d\d-\d\d)\b")


def importance_of(kind: str, text: str) -> float:
    """Around 0 for idle prose, over 2 for an instruction with names and figures."""
    words = len(set(text.lower().split()))
    return (
        KIND_PRIOR.get(kind, PRIOR_UNKNOWN)
        + 0.25 * math.log1p(min(words, 200))
        + 0.3 * min(len(_NAMES.findall(text)), 3) / 3
        + 0.3 * min(len(_NUMBERS.findall(text)), 2) / 2
        + 0.3 * min(len(_TIMES.findall(text.lower())), 2) / 2
        - (0.4 if text.rstrip().endswith("?") else 0.0)
    )
