"""Whether a newer text says otherwise than an older one, by rules: it updates it, or contradicts it.

Three rules, each with the words it goes by. A denial against what the same person said was done; a
value that is said to have changed, of what an older value is also of; the same statement with and
without a "not". Words weigh by how rare they are (`Weights`), as what two texts have in common says
little when all texts have it. Nothing here decides which is true: that is for people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from memory.domain.changes import MOVED
from memory.domain.denials import Assertion, Denial, assertions, denials, speaks_of
from memory.domain.values import CALENDAR, Value, alike, can_follow, values
from memory.domain.wording import PROPER, plain, sentences, terms

Weights = Callable[[str], float]

COVERED = 0.6  # of what is denied, by the weight of its words, must be asserted
COVERED_ONCE = 0.8  # where the denial is of one time: "I did not call"
TELLING, TELLING_ONCE = 2.0, 3.0  # what the words in common weigh at least, rare or not
SAME_CONTEXT = 0.3  # of the words around a value
SURE_CONTEXT = 0.5  # where only one word beside the values is the same
SAME_STATEMENT = 0.75
WORDS_MAX = 250  # of a text, without the code in it
STATEMENT_WORDS_MAX = 30
STATEMENT_WEIGHT_MIN = 2.0
AT_ONCE = timedelta(days=1)  # so soon, nobody begins what they never did

_FRESH = re.compile(
    r"\b(?:just|now|recently|today|yesterday|finally|started|began|first time|this (?:week|morning)"
    r"|since then|lately)\b|\b(?:'m|'re|am|are|been) \w+ing\b",
    re.IGNORECASE,
)
_PAST = re.compile(
    r"\b(?:ago|back in|last (?:year|month|week)|in (?:19|20)\d\d|used to|previously)\b",
    re.IGNORECASE,
)
_NOT = re.compile(r"\b(?:never|not|no longer|no|without|cannot)\b|n't\b", re.IGNORECASE)
_ENDED = re.compile(
    r"\b(?:no longer|not any ?more|anymore|now|since|stopped|any more)\b", re.IGNORECASE
)
_OWN = re.compile(
    r"\b(?:i|we)\b|\b(?:want|hope|plan|need|would like)s? to\b", re.IGNORECASE
)  # has rules of its own
_ASKS = re.compile(
    r"\?\s*$|^(?:can|could|would|should|do|does|did|is|are|what|how|why|when|where)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Said:
    """A text and when it was said."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is updates or contradicts; `strength` 0 to 1 orders findings of one text."""

    kind: str
    reason: str
    older: str
    newer: str
    strength: float


class Reading:
    """What the rules look at in a text: each part is read when a rule first asks for it. Of a long
    text nothing is: it is prose about many things, and claims little of its own."""

    def __init__(self, said: Said) -> None:
        self.said = said

    @cached_property
    def _text(self) -> str:
        text = plain(self.said.text)
        return text if len(text.split()) <= WORDS_MAX else ""

    @cached_property
    def denials(self) -> Sequence[Denial]:
        return denials(self._text)

    @cached_property
    def assertions(self) -> Sequence[Assertion]:
        return assertions(self._text)

    @cached_property
    def values(self) -> Sequence[Value]:
        return values(self._text)

    @cached_property
    def changed(self) -> Sequence[Value]:
        return [value for value in self.values if value.changed]

    @cached_property
    def statements(self) -> Sequence[tuple[str, Mapping[str, float], bool]]:
        return list(_statements(self._text))


def even(_: str) -> float:
    """Weights when nothing is known of how rare words are."""
    return 1.0


def disagreement(
    older: Reading, newer: Reading, weights: Weights = even, *, same_speaker: bool = True
) -> Finding | None:
    """The strongest finding between two texts. "I" is only compared with the same speaker's "I"."""
    found: list[Finding | None] = [_polarity(older, newer, weights)]
    if same_speaker:
        found += [_denied_now(older, newer, weights), _denied_before(older, newer, weights)]
        found.append(_changed(older, newer, weights))
    kept = [finding for finding in found if finding is not None]
    return max(kept, key=lambda f: (f.kind == "contradicts", f.strength), default=None)


# --- What was never done, and was ----------------------------------------------------------------


def _denied_now(older: Reading, newer: Reading, weights: Weights) -> Finding | None:
    best = _opposed(newer.denials, older.assertions, weights) if newer.denials else None
    if best is None:
        return None
    strength, denial, assertion = best
    return Finding(
        "contradicts",
        "denies what was said to have been done",
        assertion.quote,
        denial.quote,
        strength,
    )


def _denied_before(older: Reading, newer: Reading, weights: Weights) -> Finding | None:
    """What was begun after the denial was true then, and is an update."""
    best = _opposed(older.denials, newer.assertions, weights) if older.denials else None
    if best is None:
        return None
    strength, denial, assertion = best
    soon = newer.said.at - older.said.at < AT_ONCE
    begun = _FRESH.search(assertion.quote) is not None or not soon
    contradicts = _PAST.search(assertion.quote) is not None or not begun
    reason = "says that something was done which was denied"
    kind = "contradicts" if contradicts else "updates"
    return Finding(kind, reason, denial.quote, assertion.quote, strength)


def _opposed(
    denied: Iterable[Denial], asserted: Iterable[Assertion], weights: Weights
) -> tuple[float, Denial, Assertion] | None:
    best: tuple[float, Denial, Assertion] | None = None
    done = [one for one in asserted if not one.attempt]
    for denial in denied:
        for assertion in done:
            told = denial.told_in(assertion)
            total = weigh(told, weights)
            common = {w: told[w] for w in told if w in assertion.words}
            covered = weigh(common, weights) / total if total else 0.0
            if covered < (COVERED if denial.never else COVERED_ONCE):
                continue
            if not speaks_of(assertion, denial):
                continue
            if sum(common.values()) < (TELLING if denial.never else TELLING_ONCE):
                continue
            if best is None or covered > best[0]:
                best = (covered, denial, assertion)
    return best


def weigh(words: Mapping[str, float], weights: Weights) -> float:
    return sum(weight * weights(word) for word, weight in words.items())


# --- Values that changed -------------------------------------------------------------------------


def _changed(older: Reading, newer: Reading, weights: Weights) -> Finding | None:
    best: tuple[float, Value, Value] | None = None
    if not newer.changed:
        return None
    known = {(old.kind, old.unit, old.amount) for old in older.values}
    for new in newer.changed:
        if (new.kind, new.unit, new.amount) in known:
            continue
        for old in older.values:
            beside = len((old.near & new.near) - CALENDAR)
            if not alike(old, new) or not beside or not can_follow(old, new):
                continue
            if new.kind == "count" and not old.unit and not new.unit and old.name != new.name:
                continue
            if new.kind in ("date", "time") and not MOVED.search(new.quote):
                continue  # things happen on many days; only what is said to be put off has one
            strength = in_common(old.words, new.words, weights)
            enough = SAME_CONTEXT if beside > 1 else SURE_CONTEXT
            if strength >= enough and (best is None or strength > best[0]):
                best = (strength, old, new)
    if best is None:
        return None
    strength, old, new = best
    reason = f"says that it changed: {old.shown} → {new.shown}"
    return Finding("updates", reason, old.quote, new.quote, strength)


def in_common(a: Mapping[str, float], b: Mapping[str, float], weights: Weights) -> float:
    """The share of the lighter one's words that both have."""
    common = {word: min(a[word], b[word]) for word in a if word in b}
    return weigh(common, weights) / (min(weigh(a, weights), weigh(b, weights)) or 1.0)


# --- The same statement with and without a "not" -------------------------------------------------


def _statements(text: str) -> Iterable[tuple[str, Mapping[str, float], bool]]:
    for sentence in sentences(text):
        if len(sentence.split()) <= STATEMENT_WORDS_MAX and not _unclear(sentence):
            words = terms(sentence)
            if sum(words.values()) >= STATEMENT_WEIGHT_MIN:
                yield sentence, words, _NOT.search(sentence) is not None


def _unclear(sentence: str) -> bool:
    return _ASKS.search(sentence) is not None or _OWN.search(sentence) is not None


def _polarity(older: Reading, newer: Reading, weights: Weights) -> Finding | None:
    if not newer.statements:
        return None
    for new, new_words, new_not in newer.statements:
        for old, old_words, old_not in older.statements:
            if new_not == old_not or not _same(old_words, new_words, weights):
                continue
            kind = "updates" if _ENDED.search(new) else "contradicts"
            return Finding(kind, "says the same with and without a not", old, new, 0.9)
    return None


def _same(a: Mapping[str, float], b: Mapping[str, float], weights: Weights) -> bool:
    """Names have to agree altogether; of the rest, most."""
    apart = {
        word: weight
        for one, other in ((a, b), (b, a))
        for word, weight in one.items()
        if word not in other
    }
    if any(weight >= PROPER for weight in apart.values()):
        return False
    common = weigh({word: a[word] for word in a if word in b}, weights)
    return common / ((common + weigh(apart, weights)) or 1.0) >= SAME_STATEMENT
