"""Digests on their way from one store to another: ids of memories become places in the file, and back.

A digest quotes memories by id, `[memory-12]`, and an id means another memory elsewhere. What a file does
not hold, because it was pruned, is numbered on after the last memory of the file. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from memory.domain.digests import first_day_after

_QUOTED = re.compile(r"\[memory-(\d{1,18})\]", re.ASCII)  # no id is longer
_FORMS = {1: r"\d{4}-\d\d-\d\d.*", 2: r"\d{4}-\d\d-\d\d", 3: r"\d{4}-W\d\d", 4: r"\d{4}-\d\d"}
PERIOD_MAX = 200


def renumbered(
    text: str, facts: Mapping[str, Any], number: Callable[[int], int]
) -> tuple[str, dict[str, Any]]:
    """The text and the facts of a digest, with `number` of each id in them."""

    def put(match: re.Match[str]) -> str:
        return f"[memory-{number(int(match[1]))}]"

    told = dict(facts)
    if isinstance(told.get("extract"), str):
        told["extract"] = _QUOTED.sub(put, told["extract"])
    if isinstance(told.get("quotes"), Mapping):
        told["quotes"] = {str(number(int(n))): value for n, value in told["quotes"].items()}
    return _QUOTED.sub(put, text), told


def digest_problems(level: int, facts: Mapping[str, Any]) -> list[str]:
    """What is missing for the upkeep of a digest to go on with it."""
    of = facts.get("of")
    problems = []
    if not isinstance(of, str) or not _is_period(level, of):
        problems.append(f"provenance.of of a digest of level {level} names no period")
    period = facts.get("period")
    if not isinstance(period, str) or not 0 < len(period) <= PERIOD_MAX:
        problems.append(f"provenance.period must be text of 1 to {PERIOD_MAX} characters")
    words = facts.get("words")
    if not _count(words):
        problems.append("provenance.words must be how many words it sums up")
    if not _counts(facts.get("counts")):
        problems.append("provenance.counts must be numbers by kind")
    if not _values(facts.get("quotes")):
        problems.append("provenance.quotes must be values by memory")
    if "extract" in facts and not isinstance(facts["extract"], str):
        problems.append("provenance.extract must be text")
    return problems


def _is_period(level: int, of: str) -> bool:
    if len(of) > PERIOD_MAX or not re.fullmatch(_FORMS[level], of):
        return False
    try:
        first_day_after(level, of)
    except (ValueError, OverflowError):
        return False
    return True


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _counts(counts: Any) -> bool:
    return isinstance(counts, Mapping) and all(_count(value) for value in counts.values())


def _values(quotes: Any) -> bool:
    return isinstance(quotes, Mapping) and all(
        name.isascii() and name.isdigit() and len(name) < 16
        and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for name, value in quotes.items()
    )  # fmt: skip
