"""What waits for a person: memories that are kept, and not found, until somebody vouches for them.

What an agent wants to remember is a proposal. It is quarantined when it is written. Once the attempt
that wrote it was accepted, verification vouches for what it read from nowhere but the project
(`release_verified`); what stems from elsewhere stays until a person releases or rejects it. A batch
that was rolled back waits here too, so that rolling back the wrong one loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Value
from django.db.models.functions import Greatest

from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode, NotFound
from memory.again import tried_again
from memory.chunks import index_memories
from memory.events import happened, happenings_of
from memory.facts import facts_end
from memory.models import TRUST, Fact, Memory, MemoryEvent
from memory.quoting import keeping_lock
from memory.truth import TOLD, Told, noticed
from memory.versions import bury

LISTED_MAX = 200
FIELDS = ("id", "namespace", "layer", "kind", "actor", "trust", "batch", "text", "recorded_at")


class NotQuarantined(AgentsysError):
    """Only what waits can be released or rejected."""

    code = "not-quarantined"
    template = "memory-{id} is {state}, not quarantined; `memory quarantine list` shows what waits"
    exit_code = ExitCode.CONFLICT


def quarantine_list(namespace: str | None = None) -> list[dict[str, Any]]:
    """What waits, the newest first, at most LISTED_MAX; `why` says what put it there."""
    rows = Memory.objects.filter(state="quarantined")
    if namespace is not None:
        rows = rows.filter(namespace=namespace)
    listed = list(rows.order_by("-pk")[:LISTED_MAX].values(*FIELDS))
    why = {event["memory_id"]: event for event in happenings_of([row["id"] for row in listed])}
    return [{**row, "why": _why(why.get(row["id"]))} for row in listed]


def _why(event: dict[str, Any] | None) -> str:
    if event is None:
        return "written by an agent"
    return f"{event['event']} by {event['actor']}: {event['reason']}".replace("_", " ")


def quarantine_release(memory_id: int, *, by: str, reason: str) -> int:
    """Let it be found; returns its id, or that of a live memory which says the same already.
    Its trust stays as it is. NotFound, NotQuarantined, or BadInput without a reason."""
    return quarantine_release_all([memory_id], by=by, reason=reason)[0]


@tried_again
def quarantine_release_all(ids: Sequence[int], *, by: str, reason: str) -> list[int]:
    """All of them, or none where one does not wait."""
    _said(reason)
    with transaction.atomic():
        _lock(ids)
        return [_release(row, by, reason) for row in _waiting(ids)]


def quarantine_reject(memory_id: int, *, by: str, reason: str) -> None:
    """Its text goes for good; a tombstone says who rejected it and why."""
    quarantine_reject_all([memory_id], by=by, reason=reason)


@tried_again
def quarantine_reject_all(ids: Sequence[int], *, by: str, reason: str) -> None:
    """All of them, or none where one does not wait."""
    _said(reason)
    with transaction.atomic():
        _lock(ids)
        bury([row.pk for row in _waiting(ids)], by=by, reason=reason, event="rejected")


@tried_again
def release_verified(batches: Sequence[str], *, namespace: str) -> int:
    """Release what accepted attempts wrote, except from untrusted sources; returns how many."""
    with transaction.atomic():
        keeping_lock(namespace)
        rows = Memory.objects.select_for_update().filter(
            namespace=namespace,
            state="quarantined",
            batch__in=list(batches),
            trust="unverified",
        )
        waiting = [row for row in rows.order_by("pk") if not _taken_back(row.pk)]
        for row in waiting:
            _release(row, "verification", "the attempt that wrote it was accepted")
    return len(waiting)


def _taken_back(memory_id: int) -> bool:
    """Rolled back by a person: acceptance of the attempt is no reason to undo that."""
    return any(event["event"] == "rolled_back" for event in happenings_of([memory_id]))


def _lock(ids: Sequence[int]) -> None:
    """Before any row, as whoever rolls back or forgets does: the other way round two wait for each other."""
    keeping_lock(*Memory.objects.filter(pk__in=list(ids)).values_list("namespace", flat=True))


def _waiting(ids: Sequence[int]) -> list[Memory]:
    """Their rows, each once, locked. The first that does not wait is an error."""
    locked = Memory.objects.select_for_update().filter(pk__in=list(ids)).order_by("pk")
    rows = {row.pk: row for row in locked}
    for memory_id in ids:
        row = rows.get(memory_id)
        if row is None:
            raise NotFound(kind="memory", id=memory_id, listing="memory quarantine list")
        if row.state != "quarantined":
            raise NotQuarantined(id=memory_id, state=row.state)
    return [rows[memory_id] for memory_id in dict.fromkeys(ids)]


def _said(reason: str) -> None:
    if not reason.strip():
        raise BadInput(what="quarantine", problems=["a reason is needed"])


def _release(row: Memory, by: str, reason: str) -> int:
    if other := _live(row):
        why = f"memory-{other} says the same"
        bury([row.pk], by=by, reason=why, event="merged", other=other)
        _pinned_again(row.pk, other, by)
        return other
    replaces = row.supersedes_id if row.valid_to is None else None
    if replaces:  # by an import it may be something that is trusted more, and stays
        as_trusted = TRUST[TRUST.index(row.trust) :]
        Memory.objects.filter(pk=replaces, valid_to=None, trust__in=as_trusted).update(
            valid_to=Greatest(Value(row.valid_from), "valid_from")
        )
    # What was retracted with it is read from its text once more.
    Fact.objects.filter(evidence=row.pk, retracted_at__isnull=False).delete()
    happened([row.pk], "released", by=by, reason=reason)
    _pinned_again(row.pk, row.pk, by)
    index_memories([row.pk])
    noticed([Told(*Memory.objects.values_list(*TOLD).get(pk=row.pk))])
    facts_end([replaces] if replaces else [])
    return int(row.pk)


def _live(row: Memory) -> int:
    """0 where the row is live now; else the one that says the same. Somebody may write just that in
    between: what the database then refuses is looked for once more."""
    for last in (False, True):
        if other := _same(row):
            return other
        try:
            with transaction.atomic():
                Memory.objects.filter(pk=row.pk).update(state="live")
            break
        except IntegrityError:
            if last:
                raise
    return 0


def _same(row: Memory) -> int:
    if row.valid_to is not None:
        return 0
    said = {"namespace": row.namespace, "layer": row.layer, "text_hash": row.text_hash}
    same = Memory.objects.filter(**said, state="live", valid_to=None)
    return int(same.values_list("pk", flat=True).first() or 0)


def _pinned_again(released: int, found: int, by: str) -> None:
    """Pin what is found now, if what was released was pinned when it was rolled back: while it waits
    nobody can unpin it."""
    befell = MemoryEvent.objects.filter(memory_id=released).order_by("pk")
    names = list(befell.values_list("event", flat=True))
    since = names[::-1].index("rolled_back") if "rolled_back" in names else 0
    if since and "unpinned" in names[-since:]:
        Memory.objects.filter(pk=found).update(pinned=True)
        happened([found], "pinned", by=by, reason="as it was before it was rolled back")
