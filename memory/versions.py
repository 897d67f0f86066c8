"""What happens to a memory later: superseded, pinned, forgotten, and its history.

A newer text closes the validity of the older row and points at it; both stay. Forgetting is the
one thing that destroys: text and vector go for good, a tombstone keeps who, why and where from, so
that replaying the ledger does not bring it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Value
from django.db.models.functions import Greatest

from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode, NotFound
from agentsys.kernel.hashing import canonical, plain
from memory.again import tried_again
from memory.contracts import MemoryDraft
from memory.events import happened, happenings_of
from memory.facts import facts_end
from memory.models import TRUST, Link, Memory
from memory.quoting import digests_quoting, drop_quotes, keeping_lock
from memory.store import check, prepare, written
from memory.truth import noticed

# A tombstone keeps where the memory came from, not what it said: quotes and sources go.
PRUNE = "prune"  # who buries what is over budget
KEPT_FACTS = ("goal_id", "task_id", "attempt_id", "ledger_seq", "key", "parts")

_FAMILY = """
WITH RECURSIVE newest AS (
    SELECT id FROM agentsys_memory_memory WHERE id = %s
    UNION SELECT m.id FROM agentsys_memory_memory m JOIN newest ON m.supersedes_id = newest.id
), family AS (
    SELECT id, supersedes_id FROM agentsys_memory_memory WHERE id IN (SELECT id FROM newest)
    UNION SELECT m.id, m.supersedes_id FROM agentsys_memory_memory m
          JOIN family ON m.id = family.supersedes_id
)
SELECT id FROM family
"""

_BURY = """
UPDATE agentsys_memory_memory
SET state = 'gone', text = '', pinned = false, provenance =
    (SELECT COALESCE(jsonb_object_agg(key, value), '{}') FROM jsonb_each(provenance)
     WHERE key = ANY(%s)) || %s::jsonb
    || jsonb_build_object('forgotten_at', COALESCE(%s::timestamptz, clock_timestamp()))
WHERE id = ANY(%s) AND state <> 'gone' AND (%s OR NOT pinned)
RETURNING id
"""


class NotCurrent(AgentsysError):
    """The memory was superseded or forgotten before."""

    code = "not-current"
    template = "memory-{id} is not current ({reason}); `memory show {id}` shows its versions"
    exit_code = ExitCode.CONFLICT


class TooLittleTrust(AgentsysError):
    """Text of lesser trust has no authority over a memory of greater trust."""

    code = "too-little-trust"
    template = "memory-{id} is {trust}; a text that is {given} cannot supersede it: remember it"
    exit_code = ExitCode.CONFLICT


@tried_again
def supersede(
    memory_id: int,
    text: str,
    *,
    kind: str | None = None,
    actor: str = "",
    trust: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    importance: float | None = None,
    occurred_at: datetime | None = None,
) -> int:
    """A newer version of what `memory_id` says; returns its id, or `memory_id` if it says the same.

    The old row stays; its validity and that of its facts end at `occurred_at`, by default now. Trust is
    the old row's unless given. NotFound, NotCurrent or TooLittleTrust when it may not be.
    """
    with transaction.atomic():
        old = _current(memory_id)
        given = trust or old.trust
        since = occurred_at or _now()
        draft = MemoryDraft(
            namespace=old.namespace,
            layer=old.layer,
            text=text,
            kind=kind or old.kind,
            actor=actor or old.actor,
            trust=given,
            provenance=provenance or {},
            importance=importance,
            occurred_at=since,
            goal_id=old.goal_id,
            task_id=old.task_id,
            pinned=old.pinned and given != "untrusted",
            session=old.session,
        )
        check([draft])
        if TRUST.index(given) > TRUST.index(old.trust):
            raise TooLittleTrust(id=old.pk, trust=old.trust, given=given)
        new = prepare(draft)
        if not new.text:
            raise BadInput(what="memory", problems=["text is empty; to drop it use `forget`"])
        if new.key[2] == old.text_hash:
            return int(old.pk)
        kept = written([new])[new.key]
        new_id = kept.id
        # Only a row that is nobody's newer version yet: one that was there before keeps its own.
        Memory.objects.filter(pk=new_id, supersedes=None).update(supersedes=old)
        Memory.objects.filter(pk=old.pk).update(valid_to=Greatest(Value(since), "valid_from"))
        happened([old.pk], "superseded", by=actor, other=new_id)
        noticed([kept.told] if kept.told else [])
        facts_end([old.pk])
        # That the one replaced the other is said by the rows themselves.
        Link.objects.filter(older=old, newer=new_id).delete()
    return new_id


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def _current(memory_id: int) -> Memory:
    row = Memory.objects.select_for_update().filter(pk=memory_id).first()
    if row is None:
        raise NotFound(kind="memory", id=memory_id, listing="memory search")
    if row.state == "gone":
        raise NotCurrent(id=memory_id, reason="it was forgotten")
    if row.state == "quarantined":
        raise NotCurrent(id=memory_id, reason="it waits in quarantine")
    if row.valid_to is not None:
        raise NotCurrent(id=memory_id, reason="a newer version holds")
    return row


@tried_again
def pin(memory_id: int, *, pinned: bool = True, by: str = "") -> None:
    """Pinned memories are considered by every recall and never pruned. What waits in quarantine
    cannot be pinned."""
    with transaction.atomic():
        rows = Memory.objects.filter(pk=memory_id).exclude(state__in=("gone", "quarantined"))
        if not rows.update(pinned=pinned):
            raise NotFound(kind="memory", id=memory_id, listing="memory search")
        happened([memory_id], "pinned" if pinned else "unpinned", by=by)


def unpin(memory_id: int, *, by: str = "") -> None:
    pin(memory_id, pinned=False, by=by)


@tried_again
def forget(memory_id: int, by: str, reason: str) -> None:
    """Text and vector go for good; a tombstone says who forgot it and why."""
    if not reason.strip():
        raise BadInput(what="forget", problems=["a reason is needed"])
    if not bury([memory_id], by=by, reason=reason, pinned_too=True):
        raise NotFound(kind="memory", id=memory_id, listing="memory search")


def bury(
    ids: list[int],
    *,
    by: str,
    reason: str,
    pinned_too: bool = False,
    event: str = "forgotten",
    other: int | None = None,
    now: datetime | None = None,
) -> int:
    """Turn rows into tombstones; returns how many. Pinned rows only when asked for by a person. Digests
    go on quoting what was only pruned."""
    facts = canonical(plain({"forgotten_by": by, "reason": reason}))
    with transaction.atomic(), connection.cursor() as cursor:
        if by != PRUNE:
            rows = Memory.objects.filter(pk__in=ids)
            keeping_lock(*rows.values_list("namespace", flat=True).distinct())
        cursor.execute(_BURY, [list(KEPT_FACTS), facts, now, ids, pinned_too])
        buried = [row[0] for row in cursor.fetchall()]
        happened(buried, event, by=by, reason=reason, other=other)
        if by != PRUNE and buried:
            drop_quotes(digests_quoting(buried), buried)
    return len(buried)


def history(memory_id: int) -> list[dict[str, Any]]:
    """All versions of a memory, newest first, whichever of them `memory_id` is; `events` says what
    happened to each, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, [memory_id])
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        raise NotFound(kind="memory", id=memory_id, listing="memory search")
    fields = (
        "id", "namespace", "layer", "kind", "text", "actor", "trust", "state", "pinned",
        "importance", "strength", "access_count", "occurred_at", "recorded_at", "valid_from",
        "valid_to", "supersedes_id", "provenance",
    )  # fmt: skip
    rows = Memory.objects.filter(pk__in=ids).order_by("-valid_from", "-id").values(*fields)
    befell: dict[int, list[dict[str, Any]]] = {}
    for event in happenings_of(ids):
        befell.setdefault(event.pop("memory_id"), []).append(event)
    return [{**row, "events": befell.get(row["id"], [])} for row in rows]


def events_of(versions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What befell the versions that `history` gives, the latest first. That they were written, and
    what befell them before there was a history, is read from the rows."""
    found = []
    for row in versions:
        facts = row["provenance"]
        replaces = f" in place of memory-{row['supersedes_id']}" if row["supersedes_id"] else ""
        found.append(
            _event(row, row["recorded_at"], f"written{replaces}", row["actor"], facts.get("source"))
        )
        told = {event["event"] for event in row["events"]}
        if row["valid_to"] and "superseded" not in told:
            newer = next((v for v in versions if v["supersedes_id"] == row["id"]), None)
            by, what = (newer["actor"], f"memory-{newer['id']}") if newer else ("", "")
            found.append(_event(row, row["valid_to"], f"superseded {what}".strip(), by))
        if facts.get("forgotten_at") and not told & {"forgotten", "pruned", "rejected", "merged"}:
            at = datetime.fromisoformat(facts["forgotten_at"])
            why = facts.get("reason")
            found.append(_event(row, at, "forgotten", facts.get("forgotten_by"), why))
        found += [
            _event(row, event["at"], _told(event), event["actor"], event["reason"])
            for event in row["events"]
        ]
    return sorted(found, key=lambda event: event["at"], reverse=True)


def _told(event: Mapping[str, Any]) -> str:
    other = f" memory-{event['other_id']}" if event["other_id"] else ""
    return f"{event['event'].replace('_', ' ')}{other}"


def _event(
    row: Mapping[str, Any], at: datetime, what: str, by: str | None, why: str | None = ""
) -> dict[str, Any]:
    return {"at": at, "memory": row["id"], "what": what, "by": by or "", "why": why or ""}
