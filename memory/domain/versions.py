"""Which of several texts that answer one question is out of date.

The question says what kind of value it asks for and of what; two texts that both give such a value
of the same thing, and not the same value, are versions, and the newer one holds. That finds what no
rule can find when a text is written: that two sentences are about one thing often only shows when
somebody asks. A text that is out of date stays where it is; it is only marked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory.domain.changes import MOVED
from memory.domain.disagreement import Weights, even, in_common, weigh
from memory.domain.values import CALENDAR, Value, alike, can_follow, far_apart, values
from memory.domain.wording import stem, terms

ENOUGH = 0.68  # of the sum below, where the newer value is said to be new
IN_PASSING = 0.8  # where it is not
IN_PASSING_MOST = 1.2  # and the older one is, or it is a date or a time
ASKED_MIN = 0.15  # of the question's words must be around each of the two values
TOPIC_MIN = 0.45  # where a text says that something was moved, and not to when
PASSING_FIT = 0.75  # how much of an answer it has to be then, to one that the older one is
PART_MIN = 0.3  # of the words that a text shares with the question, in the part that was overtaken
CHANGED, CONTEXT, BESIDE, BESIDE_MAX = 0.25, 0.5, 0.15, 3

# The first of these that fits says what is asked for; the nouns count only where none does.
_ASKS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (kinds, re.compile(pattern, re.IGNORECASE))
    for kinds, pattern in (
        (("time",), r"\b(?:what|which) (?:time|hour)\b"),
        (("date",), r"\bwhen\b|\b(?:what|which) (?:date|day)\b|\bdeadline\b|\bdue date\b"),
        (("share",), r"\b(?:what|which) (?:percent(?:age)?|share)\b|\bhow accurate\b"),
        (("count", "date"), r"\bhow (?:many days|long)\b"),
        (("count",), r"\bhow (?:many|often|far|fast|large|big|old)\b"),
        (("money",), r"\bhow much\b"),
    )
)
_NOUNS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("share", r"\b(?:percent(?:age)?|accuracy|coverage|rate)\b"),
        ("money", r"\b(?:budget|cost|price|salary|fee|spend|spent|payment|rent|fund|amount)\b"),
        (
            "count",
            r"\b(?:number|duration|total|quota|limit|average|time|size|count|score|capacity|latency"
            r"|goal|target|threshold|port)\b",
        ),
        ("version", r"\bversion\b"),
        ("address", r"\b(?:url|link|address|endpoint)\b"),
    )
)
_COUNTS = re.compile(r"\bhow many (?:\w+ly )?(\w+)", re.IGNORECASE)
# These are worked out from several values, none of which is out of date.
_WORKED_OUT = re.compile(
    r"\bbetween\b.*\band\b|\bcompare|\bpassed?\b|\bhow long did\b|\border\b|\bdifferent\b|\bacross\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Hit:
    id: int
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Outdated:
    by: int
    reason: str
    strength: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """A hit as it answers: its values of the kind asked for, each with how much of the question is
    around it."""

    hit: Hit
    values: Sequence[tuple[float, Value]]
    topic: float

    def gives(self, value: Value, least: float = 0.0) -> bool:
        return any(
            (v.unit, v.amount) == (value.unit, value.amount) for c, v in self.values if c >= least
        )


def kinds_asked(question: str) -> tuple[str, ...]:
    """The kinds of value that a question asks for; none for most questions."""
    if _WORKED_OUT.search(question):
        return ()
    for kinds, pattern in _ASKS:
        if pattern.search(question):
            return kinds
    return tuple(kind for kind, pattern in _NOUNS if pattern.search(question))


def bears_on(question: str, text: str, part: str) -> bool:
    """Whether a part of `text` is what `question` asks about, as far as words tell: a text says many
    things, and that one of them is out of date is no news to who asks for another."""
    asked = terms(question)
    held = asked.keys() & terms(text).keys()
    return len(held & terms(part).keys()) >= PART_MIN * len(held)


def outdated(question: str, hits: Sequence[Hit], weights: Weights = even) -> Mapping[int, Outdated]:
    """By id, those of `hits` (oldest first) that another of the same speaker has overtaken."""
    kinds = kinds_asked(question)
    asked = terms(question)
    total = weigh(asked, weights)
    if not kinds or not total:
        return {}
    counted = _COUNTS.search(question)
    unit = stem(counted.group(1)) if counted else ""
    answers = [_answer(hit, kinds, asked, weights, total) for hit in hits]
    found: dict[int, Outdated] = {}
    for n, newer in enumerate(answers):
        for older in answers[:n]:
            if older.hit.speaker != newer.hit.speaker:
                continue
            mark = _overtakes(older, newer, answers[:n], unit) or _moved(older, newer, kinds)
            known = found.get(older.hit.id)
            if mark is not None and (known is None or mark.strength > known.strength):
                found[older.hit.id] = mark
    return found


def _answer(
    hit: Hit, kinds: Sequence[str], asked: Mapping[str, float], weights: Weights, total: float
) -> _Answer:
    def share(words: set[str]) -> float:
        return weigh({w: asked[w] for w in asked if w in words}, weights) / total

    given = [(share({*v.words, *v.unit.split()}), v) for v in values(hit.text) if v.kind in kinds]
    return _Answer(hit, given, share(set(terms(hit.text))))


def _overtakes(
    older: _Answer, newer: _Answer, before: Sequence[_Answer], unit: str = ""
) -> Outdated | None:
    best: Outdated | None = None
    for asked_new, new in newer.values:
        if older.gives(new) or (not new.changed and _said_before(new, older, before)):
            continue
        for asked_old, old in older.values:
            asked = min(asked_new, asked_old)
            if asked < ASKED_MIN or not (alike(old, new) or _is_counted(old, new, unit)):
                continue
            if not can_follow(old, new):
                continue
            if not new.changed and (asked_new < PASSING_FIT * asked_old or far_apart(old, new)):
                continue  # what is said in passing has to be as much of an answer, and about as much
            strength = asked + _alike(old, new)
            if strength >= _least(old, new) and (best is None or strength > best.strength):
                best = Outdated(newer.hit.id, f"{old.shown} → {new.shown}", strength)
    return best


def _is_counted(old: Value, new: Value, unit: str) -> bool:
    """Whether a number that "has increased to 7" is of what the question counts, and the older value is."""
    return (
        bool(unit)
        and new.changed
        and (old.kind, new.kind, new.unit) == ("count", "count", "")
        and old.unit == unit
    )


def _said_before(new: Value, older: _Answer, before: Sequence[_Answer]) -> bool:
    """To say an earlier value again changes nothing."""
    return any(one is not older and one.gives(new, ASKED_MIN) for one in before)


def _alike(old: Value, new: Value) -> float:
    calendar = CALENDAR if new.kind in ("date", "time") else frozenset()
    beside = min(len((old.near & new.near) - calendar), BESIDE_MAX)
    return CONTEXT * in_common(old.words, new.words, even) + CHANGED * new.changed + BESIDE * beside


def _least(old: Value, new: Value) -> float:
    if new.changed:
        return ENOUGH
    return IN_PASSING_MOST if old.changed or new.kind in ("date", "time") else IN_PASSING


def _moved(older: _Answer, newer: _Answer, kinds: Sequence[str]) -> Outdated | None:
    """It was put off, and the text does not say to when."""
    if kinds[0] not in ("date", "time") or newer.values or newer.topic < TOPIC_MIN:
        return None
    if max((c for c, _ in older.values), default=0.0) < TOPIC_MIN:
        return None
    return Outdated(newer.hit.id, "was moved", ENOUGH) if MOVED.search(newer.hit.text) else None
