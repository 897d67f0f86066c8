"""Playbooks: versions that are never changed, and which of them is meant by a name.

A version's definition is frozen by the database. A learned playbook is a candidate: it is found by
its name, but never chosen over an active version. It was made from what tasks said, so a person
puts it in force (`memory.procedures`); what is active is shown to models as an example. What has
failed is ranked low by the Wilson bound, so that the record is honest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Avg, Case, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from agentsys.kernel.errors import BadInput, NotFound
from agentsys.kernel.hashing import digest, plain
from memory.contracts import PlaybookView
from memory.domain.ranking import wilson
from memory.models import Playbook, PlaybookUse

NAME_MAX = 80
NOTE_MAX = 500
CANDIDATES_MAX = 200  # learned ones that an objective is compared with
USES_MAX = 200  # of a version, that are shown


def playbook_save(
    name: str,
    definition: Mapping[str, Any],
    *,
    namespace: str = "",
    origin: str = "written",
    state: str = "active",
    source_goal_id: int | None = None,
    verified: bool = False,
    note: str = "",
) -> PlaybookView:
    """A new version, unless the newest one is the same word for word; a candidate that is saved as
    active is put in force. Namespace "": everywhere."""
    if not name.strip() or len(name) > NAME_MAX:
        raise BadInput(
            what="playbook", problems=[f"its name must have 1 to {NAME_MAX} characters: `{name}`"]
        )
    facts = plain(definition)
    with transaction.atomic():
        _lock(namespace, name)
        newest = Playbook.objects.filter(namespace=namespace, name=name).order_by("version").last()
        if newest is not None and newest.definition_hash == digest(facts):
            if (newest.state, state) == ("candidate", "active"):
                Playbook.objects.filter(pk=newest.pk).update(state=state, note=note[:NOTE_MAX])
            return viewed(newest.pk)
        row = Playbook.objects.create(
            namespace=namespace,
            name=name,
            version=newest.version + 1 if newest else 1,
            definition=facts,
            definition_hash=digest(facts),
            origin=origin,
            state=state,
            source_goal_id=source_goal_id,
            verified=verified,
            note=note[:NOTE_MAX],
        )
        return viewed(row.pk)


def _lock(namespace: str, name: str) -> None:
    """Two that save a first version at once: there is no row yet to lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{namespace}\n{name}"]
        )


def playbook_get(name: str, version: int | None = None, namespace: str = "") -> PlaybookView | None:
    """The version asked for, else the newest active one, else the newest candidate; of active
    ones, and of candidates, the namespace's own before the shared one."""
    rows = _visible(namespace).filter(name=name)
    if version is not None:
        rows = rows.filter(version=version)
    row = _preferred_last(rows).last()
    return view(row) if row else None


def playbooks(namespace: str = "", *, state: str = "") -> list[PlaybookView]:
    """Of each playbook that this namespace sees, the version `playbook_get` gives, of those in
    `state` where it is given; the most proven first, by the Wilson lower bound of its success
    rate."""
    rows = _visible(namespace).filter(state=state) if state else _visible(namespace)
    preferred = {row.name: row for row in _preferred_last(rows)}
    return sorted((view(row) for row in preferred.values()), key=lambda v: (-v.wilson, v.name))


def playbooks_usable(namespace: str, *, candidates: bool = False) -> list[PlaybookView]:
    """What may be used without being named: those in force, and, with `candidates`, of the learned
    ones with verified results the latest CANDIDATES_MAX whose name nothing in force has."""
    found = {view.name: view for view in playbooks(namespace, state="active")}
    if candidates:
        rows = _visible(namespace).filter(state="candidate", verified=True).order_by("-pk")
        for row in rows[:CANDIDATES_MAX]:
            found.setdefault(row.name, view(row))
    return list(found.values())


def playbook_versions(name: str, namespace: str = "") -> list[PlaybookView]:
    """All versions that this namespace has or sees, retired ones too; the newest first."""
    rows = _recorded(namespace).filter(name=name).order_by("-namespace", "-version")
    return [view(row) for row in rows]


def playbook_uses(playbook_id: int) -> list[dict[str, Any]]:
    """Every goal that used it, or that it was made from (`origin`), the latest first."""
    columns = ("goal_id", "namespace", "origin", "success", "steps", "trigger", "lessons", "at")
    rows = PlaybookUse.objects.filter(playbook=playbook_id).order_by("-at", "-pk")
    return [dict(row) for row in rows.values(*columns)[:USES_MAX]]


def _recorded(namespace: str) -> QuerySet[Playbook]:
    rows = Playbook.objects.filter(namespace__in={namespace, ""})
    return rows.annotate(
        support=Count("uses", filter=Q(uses__origin=True)),
        steps_mean=Avg("uses__steps", filter=Q(uses__success=True)),
    )


def _visible(namespace: str) -> QuerySet[Playbook]:
    return _recorded(namespace).exclude(state="retired")


def _preferred_last(rows: QuerySet[Playbook]) -> QuerySet[Playbook]:
    active = Case(When(state="active", then=Value(1)), default=Value(0))
    return rows.order_by(active, "namespace", "version")


def playbook_result(playbook_id: int, *, success: bool) -> None:
    """Count how a goal that used the playbook ended; a candidate stays one, however it went."""
    field = "successes" if success else "failures"
    rows = Playbook.objects.filter(pk=playbook_id)
    moved = rows.update(**{field: F(field) + 1}, last_used_at=Now())
    if not moved:
        raise NotFound(kind="playbook", id=playbook_id, listing="memory playbooks")


def viewed(playbook_id: int) -> PlaybookView:
    row = Playbook.objects.filter(pk=playbook_id).annotate(
        support=Count("uses", filter=Q(uses__origin=True)),
        steps_mean=Avg("uses__steps", filter=Q(uses__success=True)),
    )
    return view(row.get())


def view(row: Any) -> PlaybookView:
    """Of a row with `support` and `steps_mean`."""
    return PlaybookView(
        id=row.pk,
        name=row.name,
        version=row.version,
        definition=row.definition,
        origin=row.origin,
        state=row.state,
        successes=row.successes,
        failures=row.failures,
        wilson=wilson(row.successes, row.failures),
        namespace=row.namespace,
        verified=row.verified,
        support=max(1, row.support),
        steps=None if row.steps_mean is None else round(row.steps_mean, 1),
        note=row.note,
    )
