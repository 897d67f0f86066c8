"""Playbooks: versions that are never changed, and how each has done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from agentsys.kernel.hashing import digest, plain
from memory.contracts import PlaybookView
from memory.domain.ranking import wilson
from memory.models import Playbook


def playbook_save(
    name: str,
    definition: Mapping[str, Any],
    *,
    namespace: str = "",
    origin: str = "written",
    state: str = "active",
    source_goal_id: int | None = None,
) -> PlaybookView:
    """A new version, unless the newest one is the same word for word."""
    facts = plain(definition)
    with transaction.atomic():
        versions = Playbook.objects.select_for_update().filter(namespace=namespace, name=name)
        newest = versions.order_by("-version").first()
        if newest is not None and newest.definition_hash == digest(facts):
            return _view(newest)
        row = Playbook.objects.create(
            namespace=namespace,
            name=name,
            version=newest.version + 1 if newest else 1,
            definition=facts,
            definition_hash=digest(facts),
            origin=origin,
            state=state,
            source_goal_id=source_goal_id,
        )
    return _view(row)


def playbook_get(name: str, version: int | None = None, namespace: str = "") -> PlaybookView | None:
    """The newest version (or the one asked for), the namespace's own before the shared one."""
    rows = Playbook.objects.filter(name=name, namespace__in={namespace, ""}).exclude(
        state="retired"
    )
    if version is not None:
        rows = rows.filter(version=version)
    row = rows.order_by("-namespace", "-version").first()
    return _view(row) if row else None


def playbooks(namespace: str = "") -> list[PlaybookView]:
    """The newest version of each playbook that this namespace sees, the most proven first."""
    rows = Playbook.objects.filter(namespace__in={namespace, ""}).exclude(state="retired")
    newest: dict[str, Playbook] = {}
    for row in rows.order_by("namespace", "version"):
        newest[row.name] = row
    return sorted((_view(r) for r in newest.values()), key=lambda v: (-v.wilson, v.name))


def playbook_result(playbook_id: int, *, success: bool) -> None:
    """Count how a goal that used the playbook ended."""
    field = "successes" if success else "failures"
    Playbook.objects.filter(pk=playbook_id).update(**{field: F(field) + 1}, last_used_at=Now())


def playbook_learn(
    *, namespace: str, goal_id: int, name: str, definition: Mapping[str, Any]
) -> PlaybookView:
    """A candidate from a finished goal; a person or later results make it active."""
    return playbook_save(
        name,
        definition,
        namespace=namespace,
        origin="learned",
        state="candidate",
        source_goal_id=goal_id,
    )


def _view(row: Playbook) -> PlaybookView:
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
    )
