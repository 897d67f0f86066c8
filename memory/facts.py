"""Facts as rows: intervals of what has one value at a time, and denials, by which later texts are found.

A newer value closes the interval of the one before it, and both rows stay. One that is said late, of
an earlier time, takes its place between the others. What is trusted less than what holds changes
nothing: that is a conflict, for people. Slots are written in one order, so that two writers of the
same facts do not wait for each other in a circle; a slot's row is its lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F

from memory.domain.disagreement import Finding
from memory.domain.sameness import gist
from memory.domain.slots import MINE, Slot
from memory.models import TRUST, Fact

DENIED = "denied"  # the attribute of a denial
FACTS_MAX = 500  # that are listed
TRIES_MAX = 3

_DENIALS = """
INSERT INTO agentsys_memory_fact
    (namespace, subject, attribute, value, functional, terms, valid_from, evidence_id)
SELECT d.namespace, d.subject, %s, d.value, false, t.terms, d.at, d.evidence
FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::bigint[])
     AS d(namespace, subject, value, at, evidence)
CROSS JOIN LATERAL agentsys_memory_terms(d.namespace, d.value) AS t
"""

# 0 rows: another writer was first, and what it wrote is now to be read.
_HOLDS = """
INSERT INTO agentsys_memory_fact
    (namespace, subject, attribute, value, functional, terms, valid_from, valid_to, evidence_id, closed_by_id)
VALUES (%s, %s, %s, %s, %s, '{}', %s, %s, %s, %s)
ON CONFLICT (namespace, subject, attribute)
    WHERE functional AND valid_to IS NULL AND retracted_at IS NULL DO NOTHING
RETURNING id
"""


# What a superseded text said ends with it, unless something newer ended it before.
_END = """
UPDATE agentsys_memory_fact AS f SET valid_to = GREATEST(m.valid_to, f.valid_from)
FROM agentsys_memory_memory AS m
WHERE m.id = f.evidence_id AND m.id = ANY(%s) AND m.valid_to IS NOT NULL
  AND f.valid_to IS NULL AND f.retracted_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Stated:
    """A slot, and the memory that says so."""

    namespace: str
    speaker: str
    evidence: int
    at: datetime
    trust: str
    slot: Slot

    @property
    def place(self) -> tuple[str, str, str]:
        subject = (self.speaker or MINE) if self.slot.subject == MINE else self.slot.subject
        return self.namespace, subject[:150], self.slot.attribute


@dataclass(frozen=True, slots=True)
class Denied:
    namespace: str
    speaker: str
    evidence: int
    at: datetime
    quote: str


@dataclass(frozen=True, slots=True)
class Differs:
    """What a slot said before, and the two memories."""

    older: int
    newer: int
    finding: Finding


def facts_record(stated: Iterable[Stated]) -> list[Differs]:
    """Keep what was stated; returns where that changed or contradicts what held."""
    ordered = sorted(stated, key=lambda one: (one.place, one.at, one.evidence))
    found = [_record(one) if one.slot.functional else _add(one) for one in ordered]
    return [differs for differs in found if differs is not None]


def denials_record(denied: Sequence[Denied]) -> None:
    if not denied:
        return
    columns: list[list[Any]] = [
        [d.namespace for d in denied],
        [d.speaker for d in denied],
        [d.quote[:300] for d in denied],
        [d.at for d in denied],
        [d.evidence for d in denied],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_DENIALS, [DENIED, *columns])


def facts_of(
    namespace: str | None = None, *, subject: str | None = None, every: bool = False
) -> list[dict[str, Any]]:
    """Facts that hold, or `every` one, the newest first, at most FACTS_MAX: of a subject, whatever its
    capitals. `memory` is the one that says so."""
    rows = Fact.objects.filter(evidence__state__in=("live", "cold"))
    if namespace is not None:
        rows = rows.filter(namespace=namespace)
    if subject is not None:
        rows = rows.filter(subject__iexact=subject.strip())
    if not every:
        rows = rows.filter(valid_to=None, retracted_at=None)
    fields = ("id", "namespace", "subject", "attribute", "value", "valid_from", "valid_to",
              "recorded_at", "retracted_at")  # fmt: skip
    return list(
        rows.order_by("-valid_from", "-pk").values(*fields, memory=F("evidence_id"))[:FACTS_MAX]
    )


def facts_end(memory_ids: Sequence[int]) -> None:
    """Facts of those of `memory_ids` that were superseded hold no longer than they do."""
    with connection.cursor() as cursor:
        cursor.execute(_END, [list(memory_ids)])


def _add(one: Stated) -> Differs | None:
    """Several values may hold at a time: nothing is replaced."""
    namespace, subject, attribute = one.place
    slot = Fact.objects.filter(namespace=namespace, subject=subject, attribute=attribute)
    if not slot.filter(value=one.slot.value, retracted_at=None).exists():
        _insert(one, None, None)
    return None


def _record(one: Stated) -> Differs | None:
    for _ in range(TRIES_MAX):
        held = _of(one).filter(valid_to=None).select_related("evidence").first()
        if held is None:
            if _insert(one, None, None) is not None:
                return None
            continue
        if gist(held.value) == gist(one.slot.value):
            return None
        if one.at < held.valid_from:
            _insert_between(one)
            return None
        if TRUST.index(one.trust) > TRUST.index(held.evidence.trust):
            return _differs(held, one, "contradicts")
        if _replace(held, one):
            return _differs(held, one, "updates")
    return None


def _replace(held: Fact, one: Stated) -> bool:
    if not Fact.objects.filter(pk=held.pk, valid_to=None).update(valid_to=one.at):
        return False
    new = _insert(one, None, None)
    Fact.objects.filter(pk=held.pk).update(closed_by=new)
    return new is not None


def _insert_between(one: Stated) -> None:
    """Said late: it held from then until the next value that is known."""
    later = _of(one).filter(valid_from__gt=one.at).order_by("valid_from").first()
    before = _of(one).filter(valid_from__lte=one.at, valid_to__gt=one.at).first()
    new = _insert(one, later.valid_from if later else None, later.pk if later else None)
    if before is not None:
        Fact.objects.filter(pk=before.pk).update(valid_to=one.at, closed_by=new)


def _of(one: Stated) -> Any:
    namespace, subject, attribute = one.place
    return Fact.objects.select_for_update(of=("self",)).filter(
        namespace=namespace,
        subject=subject,
        attribute=attribute,
        functional=True,
        retracted_at=None,
    )


def _insert(one: Stated, until: datetime | None, closed_by: int | None) -> int | None:
    values = [
        *one.place,
        one.slot.value,
        one.slot.functional,
        one.at,
        until,
        one.evidence,
        closed_by,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_HOLDS, values)
        row = cursor.fetchone()
    return int(row[0]) if row else None


def _differs(held: Fact, one: Stated, kind: str) -> Differs | None:
    if held.evidence_id == one.evidence:
        return None
    _, subject, attribute = one.place
    what = f"{attribute} of {subject}" if subject else attribute
    reason = f"{what}: {held.value} → {one.slot.value}"[:200]
    finding = Finding(kind, reason, held.value, one.slot.value, 1.0)
    return Differs(held.evidence_id, one.evidence, finding)
