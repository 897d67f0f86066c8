"""What a labelled claim is, and the frames in which agents put what they claim."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from verification.measuring.documents import Sentence


@dataclass(frozen=True, slots=True)
class Labelled:
    """A claim and whether it stands; `source_text` is None where there is no such source."""

    kind: str
    stands: bool
    claim: Mapping[str, Any]
    source_text: str | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A place in a source that a claim quotes: one sentence or several."""

    first: Sentence
    last: Sentence

    @property
    def quote(self) -> str:
        return self.first.source.text[self.first.start : self.last.end]

    def claim(self, text: str, **changed: Any) -> dict[str, Any]:
        return {
            "text": text,
            "source": self.first.source.name,
            "quote": self.quote,
            "start": self.first.start,
            "end": self.last.end,
            **changed,
        }


def one(sentence: Sentence) -> Stretch:
    return Stretch(sentence, sentence)


def collapsed(text: str) -> str:
    return " ".join(text.split())


def lowered(text: str) -> str:
    """Begun with a small letter, where the capital is that of a sentence."""
    head = re.match(r"[A-Z][a-z]*\b", text)
    return text[0].lower() + text[1:] if head and head[0].lower() in _BEGINNERS else text


def raised(text: str) -> str:
    return text[:1].upper() + text[1:]


def stopped(text: str) -> str:
    return text.rstrip(" ,;:.") + "."


def framed(text: str, sentence: Sentence, random: Random) -> str:
    """As agents introduce what they found."""
    group = sentence.source.group
    document = "README" if sentence.source.name.endswith("README") else "document"
    frame = random.choice(FRAMES)
    return frame.format(group=group, Group=raised(group), document=document, text=lowered(text))


FRAMES: Sequence[str] = (
    "According to {group}, {text}",
    "According to the {group} documentation, {text}",
    "The documentation says that {text}",
    "The document states that {text}",
    "The source notes: {text}",
    "{Group} states that {text}",
    "As the {document} of {group} explains, {text}",
    "The authors of {group} write that {text}",
    "In the {document}, it says that {text}",
    "Per the source, {text}",
)
_BEGINNERS = frozenset(
    (
        "a an the this that these those it its they their there here we our you your he she his her"
        " if when while because although after before since in on at for from with by to as all any"
        " each every some many most no not both one two only also however otherwise note see use"
        " using such what which who how where why by default without under until unless once"
    ).split()
)
