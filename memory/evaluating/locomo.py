"""LoCoMo (Maharana et al. 2024): ten conversations of two people over months, with questions.

Reads `locomo10.json` of the authors' repository (CC BY-NC 4.0: for measuring, never shipped). One turn is
one memory; the caption of a shared picture belongs to its text. A few evidence ids are written in other
ways ("D8:6; D9:17", "D:11:26", "D30:05") and are read all the same; those that are nowhere are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentsys.kernel.errors import BadInput
from memory.evaluating.questions import Conversation, Question, Turn

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
ADVERSARIAL = CATEGORIES[5]  # their answer is that there is none; reported apart
_ID = re.compile(r"D:?(\d+):0*(\d+)")
_DATES = ("%I:%M %p on %d %B, %Y", "%I:%M %p on %d %b, %Y")


def load(path: Path) -> list[Conversation]:
    """BadInput where the file is not of this form."""
    try:
        return [_conversation(each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"{path} is not LoCoMo's locomo10.json: {type(error).__name__}: {error}"
        raise BadInput(what="--data", problems=[problem]) from error


def _conversation(row: Mapping[str, Any]) -> Conversation:
    turns = tuple(_turns(row["conversation"]))
    known = {turn.id for turn in turns}
    questions = tuple(
        Question(
            text=str(asked["question"]),
            category=CATEGORIES[asked["category"]],
            evidence=tuple(_evidence(asked.get("evidence") or (), known)),
        )
        for asked in row["qa"]
    )
    return Conversation(str(row["sample_id"]), turns, questions)


def _turns(conversation: Mapping[str, Any]) -> Iterator[Turn]:
    number = 1
    while (said := conversation.get(f"session_{number}_date_time")) is not None:
        at = _date(said)
        for turn in conversation.get(f"session_{number}") or ():
            caption = f" [shared {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            text = f"{turn['text']}{caption}"
            yield Turn(turn["dia_id"], f"session-{number}", turn["speaker"], at, text)
        number += 1


def _date(text: str) -> datetime:
    for form in _DATES:
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not a date such as `1:56 pm on 8 May, 2023`")


def _evidence(given: Any, known: Collection[str]) -> Iterator[str]:
    seen = set()
    for item in given:
        for session, turn in _ID.findall(str(item)):
            name = f"D{session}:{turn}"
            if name in known and name not in seen:
                seen.add(name)
                yield name
