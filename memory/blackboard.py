"""The blackboard: notes by key that the agents of one goal share while it runs.

It is the working layer of a namespace of its own, goal-N, so no recall of a project finds it by
chance. A key's newer note supersedes the older one.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from agentsys.kernel.errors import BadInput
from memory.models import Memory
from memory.store import remember
from memory.versions import supersede

KEY_MAX = 200


def blackboard_put(
    goal_id: int, key: str, text: str, *, actor: str, trust: str = "unverified"
) -> int:
    """Put `text` under `key`; returns its id. TooLittleTrust where a more trusted note stands."""
    if not key or len(key) > KEY_MAX or not text.strip():
        raise BadInput(
            what="blackboard",
            problems=[f"a key of 1 to {KEY_MAX} characters and a text are needed"],
        )
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [key, goal_id])
        old = _notes(goal_id).filter(provenance__key=key).first()
        if old is not None:
            return supersede(old.pk, text, actor=actor, trust=trust, provenance={"key": key})
        return remember(
            _board(goal_id),
            "working",
            text,
            actor=actor,
            trust=trust,
            provenance={"key": key},
            goal_id=goal_id,
        )


def blackboard_get(goal_id: int) -> list[dict[str, Any]]:
    """What stands there now: id, key, text, actor, trust and at, by key."""
    notes = [
        {
            "id": row.pk,
            "key": row.provenance.get("key", ""),
            "text": row.text,
            "actor": row.actor,
            "trust": row.trust,
            "at": row.occurred_at,
        }
        for row in _notes(goal_id)
    ]
    return sorted(notes, key=lambda note: note["key"])


def working_clear(goal_id: int) -> int:
    """A goal that is over needs no blackboard; returns how many notes went, older ones included."""
    rows = Memory.objects.filter(namespace=_board(goal_id), layer="working")
    return rows.delete()[0]


def _notes(goal_id: int) -> Any:
    rows = Memory.objects.filter(namespace=_board(goal_id), layer="working", state="live")
    return rows.filter(valid_to=None).defer("tsv", "embedding").order_by("pk")


def _board(goal_id: int) -> str:
    return f"goal-{goal_id}"
