"""Remembering every turn and asking every question, through `memory.services`; nothing of it is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models import F

from agentsys.kernel.errors import BadInput
from memory import services as memory
from memory.evaluating import beam, locomo
from memory.evaluating.questions import (
    DEPTH,
    Conversation,
    Found,
    Question,
    by_category,
    figures,
    latency,
)
from memory.evaluating.truth import Truth
from memory.models import Memory

BATCH = 200
ALL_TOKENS = 10**9
HARNESSES: Mapping[str, Callable[[Path], list[Conversation]]] = {
    "locomo": locomo.load,
    "beam": beam.load,
}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A conversation as memories: row → turn."""

    namespace: str
    turns: Mapping[int, str]


def evaluate(
    harness: str,
    data: Path,
    *,
    limit: int | None,
    tell: Tell,
    keep: float | None = None,
    digests: bool = False,
) -> dict[str, Any]:
    """Figures of a harness on its data; `limit` takes only the first conversations. BadInput for data
    of another form. Memories are of a namespace of their own and go when it has been asked.

    `digests` writes the digests of all that was said; `keep` then prunes to a share of the rows, as if
    it were a day after the last turn.
    """
    if keep is not None and not 0 < keep <= 1:
        raise BadInput(what="--keep", problems=[f"{keep} is no share; 0.5 keeps half of the rows"])
    conversations = HARNESSES[harness](data)[:limit]
    found: list[Found] = []
    truth = Truth()
    seconds, turns = 0.0, 0
    for number, conversation in enumerate(conversations, start=1):
        try:
            began = time.perf_counter()
            kept = _remember(conversation)
            seconds += time.perf_counter() - began
            turns += len(conversation.turns)
            _thin(conversation, len(kept.turns), keep, digests)
            found += [_ask(kept, question) for question in conversation.asked]
            truth.look(kept.namespace, kept.turns, found[-len(conversation.asked) :])
        finally:
            Memory.objects.filter(namespace=_namespace(conversation)).delete()
        tell(f"{number} of {len(conversations)} conversations, {len(found)} questions")
    return {
        "harness": harness,
        "conversations": len(conversations),
        "memories": turns,
        **_shown(found),
        **truth.figures(),
        "adds_per_second": round(turns / seconds, 1) if seconds else None,
        "milliseconds_a_question": latency(found),
    }


def _shown(found: Sequence[Found]) -> dict[str, Any]:
    told = [one for one in found if one.question.category != locomo.ADVERSARIAL]
    parts: dict[str, Any] = {"overall": figures(told), "categories": by_category(found)}
    if len(told) < len(found):
        parts["with_adversarial"] = figures(found)
    return parts


def _remember(conversation: Conversation) -> _Kept:
    namespace = _namespace(conversation)
    turns: dict[int, str] = {}
    for start in range(0, len(conversation.turns), BATCH):
        batch = conversation.turns[start : start + BATCH]
        drafts = [
            memory.MemoryDraft(
                namespace=namespace,
                layer="episodic",
                text=turn.text,
                actor=turn.speaker,
                occurred_at=turn.at,
                session=turn.session,
            )
            for turn in batch
        ]
        for row_id, turn in zip(memory.remember_many(drafts), batch, strict=True):
            turns.setdefault(row_id, turn.id)  # 0, and what says the same, is no turn of its own
    turns.pop(0, None)
    return _Kept(namespace, turns)


def _thin(conversation: Conversation, rows: int, keep: float | None, digests: bool) -> None:
    """Ages the rows, writes digests, and prunes to a share: as maintenance would in a namespace of age."""
    if not digests and keep is None:
        return
    namespace = _namespace(conversation)
    after = max(turn.at for turn in conversation.turns) + timedelta(days=1, seconds=1)
    Memory.objects.filter(namespace=namespace).update(recorded_at=F("occurred_at"))
    if digests:
        memory.consolidate(namespace, until=after + timedelta(days=62))
    if keep is not None:
        raw = round(rows * keep)
        while Memory.objects.filter(namespace=namespace, state="live", level=0).count() > raw:
            live = Memory.objects.filter(namespace=namespace, state="live")
            awake = live.filter(level__gt=0).count()
            if not memory.prune(namespace, rows_max=raw + awake, now=after).pruned:
                break


def _namespace(conversation: Conversation) -> str:
    return f"eval-{os.getpid()}-{conversation.name}"


def _ask(kept: _Kept, question: Question) -> Found:
    began = time.perf_counter()
    hits = memory.recall(kept.namespace, question.text, k=DEPTH, budget_tokens=ALL_TOKENS)
    seconds = time.perf_counter() - began
    ranking = tuple(kept.turns[hit.id] for hit in hits if hit.id in kept.turns)
    return Found(question, ranking, seconds)
