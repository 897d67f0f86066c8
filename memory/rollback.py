"""Taking back all that one batch wrote, so that what holds is what held before it.

What the batch wrote leaves search and waits in quarantine; what it superseded holds again; facts that
it closed are open again, and its own are retracted; digests that were made from it go too, and their
other parts come back. All of it is one transaction: killed in between, nothing has happened.
`held_hash` says what holds, so that before and after can be compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from agentsys.kernel.errors import BadInput
from memory.again import tried_again
from memory.chunks import index_memories
from memory.contracts import RollbackReport
from memory.events import happened
from memory.models import Fact, Memory
from memory.quoting import keeping_lock
from memory.truth import TOLD, Told, noticed

_HASH = r"""
SELECT encode(sha256(convert_to(
    COALESCE(string_agg(line, E'\n' ORDER BY line COLLATE "C"), ''), 'UTF8')), 'hex')
FROM (
    SELECT concat_ws(E'\x1f', 'memory', layer, kind, actor, trust, level, text_hash) AS line
    FROM agentsys_memory_memory WHERE namespace = %(namespace)s AND state = 'live' AND valid_to IS NULL
    UNION ALL
    SELECT concat_ws(E'\x1f', 'fact', subject, attribute, value) FROM agentsys_memory_fact
    WHERE namespace = %(namespace)s AND valid_to IS NULL AND retracted_at IS NULL
) AS held
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What to take back: of one namespace, what was written together, for a goal, or by an actor."""

    namespace: str
    batch: str | None = None
    goal: int | None = None
    actor: str | None = None
    since: datetime | None = None

    def rows(self) -> QuerySet[Memory]:
        asked: dict[str, Any] = {"batch": self.batch, "goal_id": self.goal, "actor": self.actor}
        given = {name: value for name, value in asked.items() if value not in (None, "")}
        if not given:
            problem = "say what to take back: a batch, a goal or an actor"
            raise BadInput(what="rollback", problems=[problem])
        if self.since is not None:
            given["recorded_at__gte"] = self.since
        return Memory.objects.filter(namespace=self.namespace, **given)


def held_hash(namespace: str) -> str:
    """SHA-256 over what holds in a namespace now: memories by what they say, and facts. How often
    something was recalled, its pins, and when it was written are no part of it."""
    with connection.cursor() as cursor:
        cursor.execute(_HASH, {"namespace": namespace})
        return str(cursor.fetchone()[0])


@tried_again
def rollback(batch: Batch, *, by: str, reason: str, dry_run: bool = False) -> RollbackReport:
    """Take `batch` back. With `dry_run` everything is worked out and nothing kept."""
    if not reason.strip():
        raise BadInput(what="rollback", problems=["a reason is needed"])
    with transaction.atomic():
        keeping_lock(batch.namespace)
        before = held_hash(batch.namespace)
        taken = {row.pk: row for row in _locked(batch.rows())}
        digests = _digests(taken)
        everything = [*taken, *digests]
        pinned = _pinned(everything)
        Memory.objects.filter(pk__in=everything).update(state="quarantined", pinned=False)
        happened(everything, "rolled_back", by=by, reason=reason)
        # After it: what is unpinned since it was rolled back is pinned again with its release.
        happened(pinned, "unpinned", by=by, reason=reason)
        reopened = _reopened(taken)
        happened(reopened, "reopened", by=by, reason=reason)
        restored = _parts_restored(digests, taken)
        _facts_taken_back(everything)
        _facts_again(reopened)
        index_memories(restored)
        report = RollbackReport(
            namespace=batch.namespace,
            taken=tuple(sorted(taken)),
            digests=tuple(sorted(digests)),
            pinned=tuple(pinned),
            reopened=tuple(reopened),
            hash_before=before,
            hash_after=held_hash(batch.namespace),
            dry_run=dry_run,
        )
        if dry_run:
            transaction.set_rollback(True)
    return report


def _locked(rows: QuerySet[Memory]) -> Iterable[Memory]:
    held = rows.filter(state__in=("live", "cold")).order_by("pk")
    return held.select_for_update().only("pk", "supersedes", "parent", "valid_to")


def _pinned(ids: Collection[int]) -> list[int]:
    pinned = Memory.objects.filter(pk__in=ids, pinned=True)
    return list(pinned.order_by("pk").values_list("pk", flat=True))


def _digests(taken: Mapping[int, Memory]) -> set[int]:
    """Digests of all levels that something of it went into."""
    found: set[int] = set()
    parents = {row.parent_id for row in taken.values() if row.parent_id}
    while parents := parents - found - set(taken):
        held = Memory.objects.filter(pk__in=parents, state__in=("live", "cold"))
        rows = list(held.order_by("pk").select_for_update().values_list("pk", "parent_id"))
        found |= {pk for pk, _ in rows}
        parents = {parent for _, parent in rows if parent}
    return found


def _parts_restored(digests: Collection[int], taken: Mapping[int, Memory]) -> list[int]:
    """The other parts of those digests stand for themselves again."""
    parts = Memory.objects.filter(parent__in=digests).exclude(pk__in=[*taken, *digests])
    cold = parts.filter(state="cold").exclude(text="")
    ids = list(cold.order_by("pk").values_list("pk", flat=True))
    again = [pk for pk in ids if _holds_again(pk, state="live")]
    parts.update(parent=None)
    return again


def _reopened(taken: Mapping[int, Memory]) -> list[int]:
    """What was superseded by it holds again, unless something that stays has superseded it since."""
    older = {pk: row.supersedes_id for pk, row in taken.items() if row.supersedes_id}
    later = dict(
        Memory.objects.filter(supersedes__in=taken)
        .exclude(pk__in=list(taken))
        .values_list("supersedes_id", "pk")
    )
    ends: dict[int, int | None] = {}  # the version before it → the one after it that stays
    for pk in older:
        first = pk
        while first in older:
            first = older[first]
        ends[first] = later.get(pk) or ends.get(first)
    again = [pk for pk in sorted(ends) if ends[pk] is None and _holds_again(pk, valid_to=None)]
    for before, after in ends.items():
        if after is not None:
            Memory.objects.filter(pk=after).update(supersedes=before)
    return again


def _holds_again(memory_id: int, **change: Any) -> bool:
    """Unless it was forgotten, or something live says the same by now, if only just."""
    row = Memory.objects.filter(pk=memory_id, state__in=("live", "cold")).first()
    if row is None:
        return False
    said = {"namespace": row.namespace, "layer": row.layer, "text_hash": row.text_hash}
    same = Memory.objects.filter(**said, state="live", valid_to=None)
    if same.exclude(pk=row.pk).exists():
        return False
    try:
        with transaction.atomic():
            Memory.objects.filter(pk=row.pk).update(**change)
    except IntegrityError:
        return False
    return True


def _facts_taken_back(ids: Collection[int]) -> None:
    own = Fact.objects.filter(evidence__in=ids, retracted_at=None)
    gone = list(own.select_for_update().order_by("pk").values_list("pk", flat=True))
    Fact.objects.filter(pk__in=gone).update(retracted_at=Now())
    closed = Fact.objects.filter(closed_by__in=gone, retracted_at=None)
    for fact in closed.order_by("pk"):
        _until_the_next(fact)


def _until_the_next(fact: Fact) -> None:
    """It holds until the next value that is known of its slot, if there is one. What was said of an
    earlier time when no value held ends with it."""
    slot = Fact.objects.filter(
        namespace=fact.namespace,
        subject=fact.subject,
        attribute=fact.attribute,
        functional=True,
        retracted_at=None,
    ).exclude(pk=fact.pk)
    later = Q(valid_from__gt=fact.valid_from) | Q(valid_from=fact.valid_from, pk__gt=fact.pk)
    after = slot.filter(later).order_by("valid_from", "pk").first()
    if after is None:
        slot.filter(valid_to=None).update(valid_to=fact.valid_from, closed_by=fact)
    until = after.valid_from if after else None
    Fact.objects.filter(pk=fact.pk).update(closed_by=after, valid_to=until)


def _facts_again(reopened: Collection[int]) -> None:
    """What ended only because its text was superseded is read from the text once more."""
    ended = Fact.objects.filter(evidence__in=reopened, closed_by=None, retracted_at=None)
    ended.exclude(valid_to=None).delete()
    noticed(Told(*row) for row in Memory.objects.filter(pk__in=reopened).values_list(*TOLD))
