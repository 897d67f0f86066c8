"""Signs beside a value that it is not what it was: "now", "extended to", "down from 12 to 5".

A sign counts within its clause only. Some also say which way it went; then it did not come from a value
on the other side.
"""

from __future__ import annotations

import re

from memory.domain.wording import stem

_CHANGE = re.compile(
    r"\b(?:increas\w*|extend\w*|rais\w+|reduc\w+|lower\w*|shorten\w*|grown|grew|growth|reach\w*|updat\w+"
    r"|reschedul\w+|moved|pushed|postpon\w+|chang\w+|revis\w+|adjust\w+|improv\w+|boost\w*|now|new|total of"
    r"|instead of|switched|upgrad\w+|expand\w*|dropped|recently|latest|currently|risen|rose|(?:cut|down) to"
    r"|doubled|bumped|set back|brought forward|no longer|rather than|additional|went from|went up|up to)\b",
    re.IGNORECASE,
)
_DEED = re.compile(r"\b(?!reached)\w+ed\s*$", re.IGNORECASE)
_FINISHED = re.compile(  # what was done to so many stays done
    r"\b((?:complet|finish|solv|watch|visit|attend|submitt|merg|practic|practis|fix|clos|review|answer)(?:ed|ing)"
    r"|read|reading|written|wrote|writing|met|seen)\s*$",
    re.IGNORECASE,
)
_UP = (
    r"increas\w*|rais(?:ed|ing|es?)|gr[eo]w\w*|expand\w*|rise[ns]?|rose|boosted|doubled|up from"
    r"|(?:went|gone) up"
)
_DOWN = (
    r"reduc\w+|lower(?:ed|ing)|shorten\w*|drop(?:s|ped|ping)?|decreas\w+|cut(?:ting)?|fell|fallen|shrunk"
    r"|down (?:to|from)|(?:went|gone) down"
)
_TOWARD = re.compile(rf"\b(?:({_UP})|({_DOWN}))\b", re.IGNORECASE)
_FROM = re.compile(r"\b(?:(up from)|(down from))\b", re.IGNORECASE)
_CAME_FROM = re.compile(r"\bfrom \D{0,3}(\d[\d,]*(?:\.\d+)?)\S* to \D{0,3}$", re.IGNORECASE)
_NEXT_CLAUSE = re.compile(r"[,;:]? (?:but|so|and|because|since|while|though)\b|;", re.IGNORECASE)
MOVED = re.compile(
    r"\b(?:reschedul\w+|postpon\w+|pushed back|brought forward|moved to|cancel\w+|called off|delayed"
    r"|extended|new (?:\w+ )?(?:date|deadline|time))\b",
    re.IGNORECASE,
)


def clause_end(sentence: str, start: int, end: int) -> int:
    """Where the clause of a value ends: "due on 1 May, but now I have to …" changes no date."""
    other = _NEXT_CLAUSE.search(sentence, start, end)
    return other.start() if other else end


def is_change(kind: str, before: str, around: str) -> bool:
    """A count right behind a deed is how many it was done to: "changed 3 files" is no change of 3."""
    deed = _DEED.search(before) if kind == "count" else None
    around = around.replace(deed.group().strip(), "", 1) if deed else around
    return _CHANGE.search(around) is not None


def finished(before: str) -> str:
    """The deed that was done to what is counted: "completed" 12 problems."""
    deed = _FINISHED.search(before)
    return stem(deed.group(1)) if deed else ""


def toward(before: str, after: str, amount: str) -> int:
    """1 for up, -1 for down, 0 where it does not say: by the value that it came from, or else by the word
    that is nearest before it in its clause."""
    if came := _CAME_FROM.search(before):
        was, now = float(came.group(1).replace(",", "")), float(amount.partition("..")[0])
        return (now > was) - (now < was)
    clause = _NEXT_CLAUSE.split(before)[-1]
    said = [*_TOWARD.finditer(clause)][-1:] or [*_FROM.finditer(after)][:1]
    return (1 if said[0].group(1) else -1) if said else 0
