"""Facts by rules: what a text says outright of a thing, as subject, attribute and value.

"The deadline of the audit is 5 May", "retry limit: 5", "the API's base URL is https://…", "we
prefer tabs". Only what can be read without understanding: a named attribute, and a short value. An
attribute is functional, with one value at a time, unless it says what somebody prefers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from memory.domain.wording import plain, sentences

FACTS_MAX = 12  # of one text
VALUE_WORDS_MAX = 8
NAME_MAX, VALUE_MAX = 150, 300  # characters
MINE = "speaker"  # the subject of "my" and "our", until it is known who speaks

_NAME = r"[A-Za-z][\w./-]{0,60}(?: [A-Za-z0-9][\w./-]{0,60}){0,3}"
_KEY = re.compile(rf"^\s*(?:[-*]\s+)?({_NAME})\s*[:=]\s+(\S.*)$")
_BECAME = (
    r"((?:(?:is|was|has been|have been) )?(?:now )?(?:set|changed|moved|raised|lowered|extended|increased"
    r"|reduced|postponed|rescheduled) to|has been|will be|became|is|are|was|were)"
)
_SAID = r"((?:[^,;?!]|,(?=\d))+)"
_OF = re.compile(
    rf"\b(the|our|my) ({_NAME}?)(?: (?:of|for|in) (?:the |our |my )?({_NAME}?))?"
    rf" {_BECAME}(?: now| currently| still)? {_SAID}",
    re.IGNORECASE,
)
_ITS = re.compile(
    rf"\b({_NAME}?)'s ({_NAME}?) {_BECAME}(?: now| currently| still)? {_SAID}", re.IGNORECASE
)
_PREFERS = re.compile(
    r"\b(i|we|[A-Z]\w+) prefers? ([^,;?!]+?)(?= (?:over|to|because|since|when) |[.,;]|$)"
)
_LABELS = frozenset(
    "note example warning error todo question answer hint tip summary http https re fwd step option"
    " result output input task reason status update fix see ps".split()
)
# "The problem is that …" names no attribute with a value.
_NO_ATTRIBUTE = frozenset(
    "problem issue question thing point idea reason fact rest same first last best only one answer"
    " result goal plan code output following next way other build test user".split()
)
_NO_VALUE = re.compile(
    r"^(?:that|not|to|a|an|when|how|why|what|whether|because|if|being|very|so|too|more|less|in|on|at"
    r"|by|from|with|as|like|going|about|also)\b",
    re.IGNORECASE,
)
_TOLD = ("was", "were", "has been")  # of a thing that is over, unless it names a value
_OPINION = re.compile(
    r"^(?:\w+ly )?(?:good|better|best|great|nice|fine|cool|fun|lovely|awesome|amazing|incredible|wonderful"
    r"|fantastic|beautiful|gorgeous|stunning|perfect|terrible|awful|bad|worse|worst|hard|easy|tough|crazy"
    r"|wild|weird|sweet|cute|solid|happy|sad|proud|interested|important|special|unreal|emotional|priceless"
    r"|worth|ok|okay|my|our|your|his|their|all|just|pretty|really|super|quite|\w+ing)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"\b(?:i|we|you|he|she|they|everyone|is|are|was|were|felt|makes?|made)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Slot:
    subject: str
    attribute: str
    value: str
    functional: bool = True


def slots(text: str) -> list[Slot]:
    """At most FACTS_MAX facts, the first of each attribute."""
    found: dict[tuple[str, str], Slot] = {}
    for slot in _slots(text):
        found.setdefault((slot.subject, slot.attribute), slot)
        if len(found) == FACTS_MAX:
            break
    return list(found.values())


def _slots(text: str) -> Iterator[Slot]:
    for line in plain(text).splitlines():
        if (match := _KEY.match(line)) and match.group(1).lower() not in _LABELS:
            yield from _slot("", match.group(1), match.group(2))
    for sentence in sentences(text):
        if sentence.endswith("?"):
            continue
        for match in _OF.finditer(sentence):
            whose, attribute, subject, verb, value = match.groups()
            if not _lasts(verb, value):
                continue
            yield from _slot(subject or ("" if whose.lower() == "the" else MINE), attribute, value)
        for match in _ITS.finditer(sentence):
            subject, attribute, verb, value = match.groups()
            if _lasts(verb, value):
                yield from _slot(subject, attribute, value)
        for match in _PREFERS.finditer(sentence):
            who, value = match.groups()
            yield from _slot(MINE if who.lower() in ("i", "we") else who, "prefers", value, False)


def _lasts(verb: str, value: str) -> bool:
    """Whether it is a value that something has, not what somebody thought of it: "the view was lovely"
    and "the talk is inspiring" are true besides whatever is said later."""
    if _OPINION.match(value) or _CLAUSE.search(value):
        return False
    return verb.lower() not in _TOLD or any(c.isdigit() or c.isupper() for c in value)


def _slot(subject: str, attribute: str, value: str, functional: bool = True) -> Iterator[Slot]:
    attribute, value = _name(attribute), value.strip().rstrip(".!\"'").strip()
    words = value.split()
    if not words or len(words) > VALUE_WORDS_MAX or _NO_VALUE.match(value):
        return
    if not attribute or attribute.split()[-1] in _NO_ATTRIBUTE:
        return
    yield Slot(_name(subject), attribute[:NAME_MAX], value[:VALUE_MAX], functional)


def _name(text: str) -> str:
    words = text.lower().split()
    while words and words[0] in ("the", "a", "an", "our", "my", "new", "current"):
        words = words[1:]
    return " ".join(words)[:NAME_MAX]
