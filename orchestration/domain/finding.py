"""Which playbook is for an objective, and with which values of its parameters? Pure.

An objective that reads like a playbook's own with values in the place of its parameters is certain.
Otherwise words decide, and nearness of vectors where there is one: relevance = .7 F1 of the words
that carry sense + .3 cosine. What is relevant enough is ranked by relevance x the Wilson lower bound
of its success (Wilson 1927). A required parameter for which the objective has no value rules a
playbook out: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.domain.matching import PARAM, read_off
from orchestration.domain.playbook import Parameter, PlaybookDraft

RELEVANCE_MIN = 0.75  # below it a playbook is an example for a planner, and no more
WORDS_SHARE, NEARNESS_SHARE = 0.7, 0.3
WORDS_MIN = 2  # of a trigger besides its parameters: what says less would fit everything
VALUE_WORDS_MAX = 8  # of a text that stands for a parameter
_PATH = re.compile(r"(?<![\w:/])(?:~|\.{0,2}/)[^\s\"'`,;]*")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_COMMON = frozenset(
    "a an and at by can could for from i in into it its kindly my of on or our please repo repository"
    " the this that to we with would you your".split()
)


@dataclass(frozen=True, slots=True)
class Known:
    """A playbook that may be found. `triggers`: objectives it was used for, with parameters."""

    playbook: PlaybookDraft
    version: int
    evidence: float  # Wilson lower bound, in [0, 1]
    triggers: Sequence[str] = ()
    origin: str = "written"
    steps: float | None = None
    row: int | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What it is for, in other words each time."""
        return (self.playbook.objective, *self.triggers)


@dataclass(frozen=True, slots=True)
class Match:
    """`rank` = relevance x evidence. `trigger` is what the objective was compared with."""

    known: Known
    params: Mapping[str, Any]
    words: float
    nearness: float
    relevance: float
    trigger: str = ""

    @property
    def rank(self) -> float:
        return self.relevance * self.known.evidence

    @property
    def why(self) -> str:
        return (
            f"`{self.known.playbook.name}` version {self.known.version} was found for it: relevance"
            f" {self.relevance:.2f} x evidence {self.known.evidence:.2f} = {self.rank:.2f}"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """An objective held against one trigger: the values it gives, and how alike the words are."""

    trigger: str
    params: Mapping[str, Any] = field(default_factory=dict)
    words: float = 0.0
    exact: bool = False


def reading_of(known: Known, objective: str, given: Mapping[str, Any]) -> Reading | None:
    """The best reading by any trigger; None where a required parameter has no value."""
    parameters = known.playbook.parameters
    text, said = _assignments(" ".join(objective.split()), parameters)
    said = {**said, **given}
    readings = [
        reading
        for trigger in known.texts
        if len(sense(PARAM.sub(" ", trigger))) >= WORDS_MIN
        for reading in [_read(trigger, text, said, parameters)]
        if _complete(reading.params, parameters)
    ]
    return max(readings, key=lambda r: (r.exact, r.words), default=None)


def matched(known: Known, reading: Reading, nearness: float) -> Match:
    relevance = WORDS_SHARE * reading.words + NEARNESS_SHARE * max(0.0, nearness)
    return Match(
        known=known,
        params=reading.params,
        words=reading.words,
        nearness=nearness,
        relevance=1.0 if reading.exact else min(relevance, 0.99),
        trigger=reading.trigger,
    )


def best(matches: Sequence[Match]) -> Match | None:
    """The one to use: by rank, then by fewer steps, then by name."""
    fit = [match for match in matches if match.relevance >= RELEVANCE_MIN]
    far = float("inf")
    key = [
        (-m.rank, far if m.known.steps is None else m.known.steps, m.known.playbook.name, m)
        for m in fit
    ]
    return min(key, key=lambda row: row[:3])[3] if key else None


def sense(text: str) -> frozenset[str]:
    """Words that carry sense, in a plain form: `Repositories` and `repository` differ, `tests` and
    `test` do not. Denials are words like others."""
    words = (word.lower() for word in _WORD.findall(text))
    return frozenset(_plain(word) for word in words if word not in _COMMON)


def _plain(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def without_values(text: str, params: Mapping[str, Any]) -> str:
    for value in sorted((v for v in params.values() if isinstance(v, str) and v), key=len)[::-1]:
        text = text.replace(value, " ")
    return text


def _assignments(text: str, parameters: Mapping[str, Parameter]) -> tuple[str, dict[str, str]]:
    """`… with packages_max=3`: values that are named, and the text without them."""
    found: dict[str, str] = {}
    for name in parameters:
        pattern = re.compile(rf"(?:\b(?:with|and)\s+|,\s*)?\b{re.escape(name)}\s*=\s*([^\s,;]+)")
        if hit := pattern.search(text):
            found[name] = hit[1]
            text = text[: hit.start()] + text[hit.end() :]
    return text.strip().rstrip(".!?,;").strip(), found


def _read(
    trigger: str, text: str, said: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> Reading:
    plain = " ".join(trigger.replace("$${", "${").split()).rstrip(".!")
    if (
        set(PARAM.findall(plain)) <= set(parameters)
        and (found := read_off(plain, text, least=1, flags=re.IGNORECASE)) is not None
    ):
        values = {name: value.strip("\"'`“”‘’") for name, value in found.items()}
        if all(_sound(value, parameters[name]) for name, value in values.items()):
            return Reading(trigger, {**values, **said}, 1.0, exact=True)
    values = _guessless(text, parameters)
    asked = sense(without_values(text, {**values, **said}))
    told = sense(PARAM.sub(" ", plain))
    both = len(asked & told)
    f1 = 2 * both / (len(asked) + len(told)) if both else 0.0
    return Reading(trigger, {**values, **said}, f1)


def _sound(value: str, parameter: Parameter) -> bool:
    """Whether a piece of a sentence can be a value of this parameter."""
    match parameter.type:
        case "path":
            return bool(_PATH.fullmatch(value)) and " " not in value
        case "int" | "float":
            return bool(re.fullmatch(r"[-+]?\d+(?:\.\d+)?", value))
        case "string":
            return len(value.split()) <= VALUE_WORDS_MAX and not re.search(r"[.!?;]\s", value)
    return False


def _guessless(text: str, parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """The one path of a text for the one required path: nothing else can be read off for certain."""
    paths = [hit.rstrip(".") for hit in _PATH.findall(text)]
    wanted = [p.name for p in parameters.values() if p.type == "path" and p.required]
    return {wanted[0]: paths[0]} if len(paths) == len(wanted) == 1 else {}


def _complete(params: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> bool:
    return set(params) <= set(parameters) and all(
        p.name in params for p in parameters.values() if p.required
    )
