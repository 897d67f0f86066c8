"""What a digest holds: the lines worth most for the words they take, in the order of time, with their ids.

Of a session 30 % of its words, of a day 10 %, and no digest is longer than a reader has time for. Picking
by importance over the square root of the words holds 45 % of LoCoMo's evidence at 30 %; picking what is
most like the rest (TextRank, centroids) holds less than chance. A model may write the text instead; what
it wrote is taken only if every id that it cites is one of the quotes' and it still says nine in ten of the
names and numbers of the most important ones.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

SHARES = {1: 0.30, 2: 0.10, 3: 0.05, 4: 0.02}  # of the words of what was said, by level
WORDS_MAX = {1: 900, 2: 600, 3: 600, 4: 600}
WORDS_MIN = 40  # a day of two lines is quoted whole
NAMES = {1: "Session", 2: "Day", 3: "Week", 4: "Month"}
COUNTED = ("decision", "error", "result", "instruction", "directive", "preference", "fact")
IMPORTANT_SHARE = 0.5  # of the quotes, the best; their names and numbers must survive
SURVIVE_MIN = 0.9
LINE_WORDS_MAX = 60

_CITED = re.compile(r"\[(?:memory-)?(\d{1,18})\]", re.ASCII)  # no id is longer
_LINE = re.compile(r"^\[memory-(\d{1,18})\] ", re.MULTILINE | re.ASCII)
_NAMED = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z][\w-]{2,}")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Line:
    """Something that may be quoted: a memory, or what a digest quoted of one. `value` is its worth."""

    id: int
    text: str
    value: float
    kind: str = "note"

    @property
    def words(self) -> int:
        return max(len(self.text.split()), 1)


def chosen(lines: Sequence[Line], budget: int) -> list[Line]:
    """Those worth most for their words until `budget` words are full, in the order given."""
    least = min((line.value for line in lines), default=0.0)
    order = sorted(
        range(len(lines)),
        key=lambda n: (-(lines[n].value - least + 0.1) / math.sqrt(lines[n].words), n),
    )
    left, taken = budget, set()
    for n in order:
        if lines[n].words <= left:
            taken.add(n)
            left -= lines[n].words
    if lines and not taken:
        taken.add(order[0])
    return [lines[n] for n in sorted(taken)]


def budget_of(level: int, words: int) -> int:
    """Words of a digest of `level` about something that took `words` to say."""
    return min(max(round(SHARES[level] * words), WORDS_MIN), WORDS_MAX[level])


def heading(level: int, period: str, counts: Mapping[str, int]) -> str:
    """`Day 2026-01-03: 40 memories (3 decision, 2 error).`"""
    total = sum(counts.values())
    told = ", ".join(f"{counts[kind]} {kind}" for kind in COUNTED if counts.get(kind))
    return f"{NAMES[level]} {period}: {total} memories{f' ({told})' if told else ''}."


def text_of(head: str, lines: Sequence[Line]) -> str:
    return "\n".join([head, *(f"[memory-{line.id}] {cut(line.text)}" for line in lines)])


def cut(text: str) -> str:
    words = text.split()
    return " ".join(words[:LINE_WORDS_MAX]) + (" …" if len(words) > LINE_WORDS_MAX else "")


def lines_of(text: str) -> dict[int, str]:
    """What a digest quotes, by id, in its order."""
    found = list(_LINE.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {
        int(match[1]): text[match.end() : end].strip()
        for match, end in zip(found, ends[: len(found)], strict=True)
    }


def without(text: str, ids: Iterable[int]) -> str:
    """The digest's text without its quotes of `ids`."""
    gone = set(ids)
    head = text.split("\n", 1)[0]
    kept = [f"[memory-{n}] {line}" for n, line in lines_of(text).items() if n not in gone]
    return "\n".join([head, *kept])


def unfaithful(text: str, quotes: Sequence[Line]) -> str:
    """Why a model's digest of `quotes` is not taken; empty if it is."""
    if not text.strip():
        return "it is empty"
    known = {line.id for line in quotes}
    cited = {int(n) for n in _CITED.findall(text)}
    if unknown := cited - known:
        return f"it cites {', '.join(f'memory-{n}' for n in sorted(unknown)[:5])}, which it was not given"
    if not cited:
        return "it cites nothing"
    ranked = sorted(quotes, key=lambda line: -line.value)
    best = ranked[: max(math.ceil(len(ranked) * IMPORTANT_SHARE), 1)]
    wanted = Counter(entity for line in best for entity in entities(line.text))
    said = _CITED.sub("", text)
    spoken = {entity.lower() for entity in (*entities(". " + said), *_NUMBER.findall(said))}
    words = set(re.findall(r"[\w-]+", said.lower())) | spoken
    missing = [entity for entity in wanted if entity.lower() not in words]
    if wanted and len(missing) > (1 - SURVIVE_MIN) * len(wanted):
        return f"{len(missing)} of {len(wanted)} important names and numbers are gone, such as {missing[0]}"
    return ""


def entities(text: str) -> list[str]:
    """Names (capitals inside a sentence) and numbers."""
    return _NAMED.findall(text) + _NUMBER.findall(text)


def week_of(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"


def month_of(week: str) -> str:
    """The month that most of the week's days belong to: that of its Thursday."""
    thursday = date.fromisocalendar(int(week[:4]), int(week[6:]), 4)
    return f"{thursday.year:04}-{thursday:%m}"


def first_day_after(level: int, period: str) -> date:
    """When what a digest of `level` sums up is over."""
    if level == 4:
        year, month = int(period[:4]), int(period[5:7])
        return date(year + month // 12, month % 12 + 1, 1) + timedelta(
            days=4
        )  # its last week's end
    if level == 3:
        return date.fromisocalendar(int(period[:4]), int(period[6:8]), 7) + timedelta(days=1)
    return date.fromisoformat(period[:10]) + timedelta(days=1)
