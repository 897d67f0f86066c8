"""BEAM (Tavakoli et al. 2025): projects that a person discusses with an assistant for weeks, with updates.

Reads a folder with `N/chat.json` and `N/probing_questions/probing_questions.json`, such as `chats/100K`
of the authors' repository. One message is one memory. A message without a date has that of the one before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentsys.kernel.errors import BadInput
from memory.evaluating.questions import Conversation, Question, Turn

BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
_TRAILER = re.compile(r"\s*->->.*$", re.DOTALL)  # which step of their script made the message
_VERSIONS = {
    "knowledge_update": ("original_info", "updated_info"),
    "contradiction_resolution": ("first_statement", "second_statement"),
}
_DATES = ("%B-%d-%Y", "%b-%d-%Y", "%B %d, %Y", "%Y-%m-%d")


def load(folder: Path) -> list[Conversation]:
    """BadInput where the folder has no chats of this form."""
    chats = [p for p in folder.iterdir() if p.name.isdigit()] if folder.is_dir() else []
    if not chats:
        problem = f"{folder} has no numbered folders with chat.json; give BEAM's chats/100K"
        raise BadInput(what="--data", problems=[problem])
    try:
        return [_conversation(chat) for chat in sorted(chats, key=lambda p: int(p.name))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{folder} is not of BEAM's form: {type(error).__name__}: {error}"
        raise BadInput(what="--data", problems=[problem]) from error


def _conversation(folder: Path) -> Conversation:
    chat = json.loads((folder / "chat.json").read_text(encoding="utf-8"))
    turns = tuple(_turns(chat))
    named = {int(turn.id): turn.id for turn in turns}
    probing = folder / "probing_questions" / "probing_questions.json"
    asked = json.loads(probing.read_text(encoding="utf-8"))
    questions = tuple(
        _question(category, one, named) for category, ones in asked.items() for one in ones
    )
    return Conversation(f"beam-{folder.name}", turns, questions)


def _turns(chat: Any) -> Iterator[Turn]:
    at = BEGINNING
    for batch in chat:
        for exchange in batch["turns"]:
            for message in exchange:
                at = _date(message.get("time_anchor")) or at
                yield Turn(
                    id=str(message["id"]),
                    session=f"session-{batch['batch_number']}",
                    speaker=message["role"],
                    at=at,
                    text=_TRAILER.sub("", message["content"]),
                )


def _date(text: str | None) -> datetime | None:
    for form in _DATES if text else ():
        try:
            return datetime.strptime(str(text).strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _question(category: str, row: Mapping[str, Any], named: Mapping[int, str]) -> Question:
    sources = row.get("source_chat_ids")
    older, newer = _VERSIONS.get(category, ("", ""))
    versions = sources if isinstance(sources, Mapping) else {}
    return Question(
        text=str(row["question"]),
        category=category,
        evidence=_ids(sources, named),
        old=_ids(versions.get(older), named),
        new=_ids(versions.get(newer), named),
    )


def _ids(value: Any, named: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(named[n] for n in _numbers(value) if n in named))


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, str):
        yield from map(int, re.findall(r"\d+", value))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from _numbers(each)
