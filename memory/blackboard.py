"""The blackboard: notes by key that the agents of one goal share while it runs.

It is the working layer of a namespace of its own, goal-N, so no recall of a project finds it by
chance. A key's newer note supersedes the older one. A note lives as long as the work it is part of:
what attempts wrote that were refused is taken off again, and when the goal is over a note is
promoted to what the project remembers, if a person vouched for it or its writer's work held, or it
is gone. What was untrusted on the board is never promoted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection, transaction

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import plain
from memory.contracts import MemoryDraft
from memory.models import Memory
from memory.store import remember, remember_many
from memory.versions import supersede

BOARD_KEY_MAX = 200  # characters
BOARD_TEXT_MAX = 2_000
BOARD_NOTES_MAX = 100  # keys of one goal
BOARD_WRITES_MAX = 1_000  # of one goal, older versions included


def blackboard_put(
    goal_id: int,
    key: str,
    text: str,
    *,
    actor: str,
    trust: str = "unverified",
    task_id: int | None = None,
    lineage: str = "",
) -> int:
    """Put `text` under `key`; returns its id. `lineage` is that of the attempts that write.

    TooLittleTrust where a more trusted note stands; BadInput for a key or a text that does not fit,
    and where the board is full."""
    key = str(plain(key)).strip()
    if not 0 < len(key) <= BOARD_KEY_MAX or not text.strip() or len(text) > BOARD_TEXT_MAX:
        fits = f"a key of 1 to {BOARD_KEY_MAX} and a text of 1 to {BOARD_TEXT_MAX} characters"
        raise BadInput(what="blackboard", problems=[f"{fits} are needed"])
    with transaction.atomic():
        with connection.cursor() as cursor:  # one writer a board, so that its bounds hold
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('board', %s))", [goal_id])
        old = _notes(goal_id).filter(provenance__key=key).first()
        _check_room(goal_id, is_new=old is None)
        facts = {"key": key, "lineage": lineage, "task_id": task_id}
        if old is not None:
            return supersede(old.pk, text, actor=actor, trust=trust, provenance=facts)
        return remember(
            _board(goal_id),
            "working",
            text,
            actor=actor,
            trust=trust,
            provenance=facts,
            goal_id=goal_id,
            task_id=task_id,
        )


def _check_room(goal_id: int, *, is_new: bool) -> None:
    if is_new and _notes(goal_id).count() >= BOARD_NOTES_MAX:
        full = f"it has {BOARD_NOTES_MAX} notes, and no more fit; write under a key that is there"
        raise BadInput(what="blackboard", problems=[full])
    if (
        Memory.objects.filter(namespace=_board(goal_id), layer="working").count()
        >= BOARD_WRITES_MAX
    ):
        used = f"it was written to {BOARD_WRITES_MAX} times, as often as one goal may"
        raise BadInput(what="blackboard", problems=[used])


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


def blackboard_drop(goal_id: int, lineages: Sequence[str]) -> int:
    """Take off what attempts wrote whose work does not count; returns how many notes went. What a
    note of theirs had replaced holds again."""
    rows = Memory.objects.filter(namespace=_board(goal_id), layer="working")
    theirs = rows.filter(provenance__lineage__in=[one for one in lineages if one])
    keys = set(theirs.values_list("provenance__key", flat=True))
    if not keys:
        return 0
    with transaction.atomic():
        gone = theirs.delete()[0]
        for key in sorted(keys):
            last = rows.filter(provenance__key=key).order_by("pk").last()
            if last is not None and last.valid_to is not None:
                Memory.objects.filter(pk=last.pk).update(valid_to=None)
    return gone


def blackboard_promote(goal_id: int, namespace: str, *, accepted: Collection[str]) -> int:
    """Keep for the project what a person vouched for, as facts, and what was written by work that
    held (`accepted` are its lineages), as what happened. Returns how many; twice is once."""
    drafts = [
        MemoryDraft(
            namespace=namespace,
            layer="semantic" if row.trust == "verified" else "episodic",
            text=f"{row.provenance.get('key', '')}: {row.text}",
            kind="fact" if row.trust == "verified" else "note",
            actor=row.actor,
            trust=row.trust,
            provenance={
                "goal_id": goal_id,
                "task_id": row.task_id,
                "source": f"the blackboard of goal-{goal_id}",
            },
            occurred_at=row.occurred_at,
            goal_id=goal_id,
            task_id=row.task_id,
            batch=f"goal-{goal_id}",
        )
        for row in _notes(goal_id)
        if row.trust == "verified"
        or (row.trust == "unverified" and row.provenance.get("lineage") in accepted)
    ]
    return sum(1 for row_id in remember_many(drafts) if row_id) if drafts else 0


def working_clear(goal_id: int) -> int:
    """A goal that is over needs no blackboard; returns how many notes went, older ones included."""
    rows = Memory.objects.filter(namespace=_board(goal_id), layer="working")
    return rows.delete()[0]


def _notes(goal_id: int) -> Any:
    rows = Memory.objects.filter(namespace=_board(goal_id), layer="working", state="live")
    return rows.filter(valid_to=None).order_by("pk")


def _board(goal_id: int) -> str:
    return f"goal-{goal_id}"
