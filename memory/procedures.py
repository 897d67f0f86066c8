"""A playbook's life: learned from a goal, used by others, put in force or retired by a person.

The record is a row for each goal (`PlaybookUse`), so wrapping a goal up twice counts it once, and a
goal that was taken up again and then succeeded counts as a success. What a goal teaches about a
task is which verifiers refused it, by name and number: no text of a task or of a verdict gets from
one goal into another this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from agentsys.kernel.errors import AgentsysError, BadInput, ExitCode, NotFound
from agentsys.kernel.hashing import plain
from memory.contracts import PlaybookView
from memory.models import Playbook, PlaybookUse
from memory.playbooks import NOTE_MAX, playbook_save, viewed

DOES = ("objective", "phases")  # of a definition; the rest are words about it
TRIGGERS_MAX = 20  # of a playbook, that an objective is compared with
LESSON_DAYS = 30  # after these a thing is tried again


class NotInState(AgentsysError):
    """A retired playbook is not put in force again, and one that is retired is not retired."""

    code = "playbook-state"
    template = "{name} version {version} is {state}; {way_out}"
    exit_code = ExitCode.CONFLICT


def playbook_learn(
    *,
    namespace: str,
    goal_id: int,
    name: str,
    definition: Mapping[str, Any],
    verified: bool = False,
    steps: int | None = None,
    note: str = "",
) -> PlaybookView:
    """A candidate from a finished goal, which is its first evidence. Where one does the same word for
    word, with results as good, the goal is evidence for that one instead."""
    with transaction.atomic():
        saved = _alike(namespace, definition, verified) or playbook_save(
            name,
            definition,
            namespace=namespace,
            origin="learned",
            state="candidate",
            source_goal_id=goal_id,
            verified=verified,
            note=note,
        )
        PlaybookUse.objects.get_or_create(
            playbook_id=saved.id,
            goal_id=goal_id,
            defaults={"namespace": namespace, "origin": True, "success": True, "steps": steps},
        )
    return viewed(saved.id)


def _alike(namespace: str, definition: Mapping[str, Any], verified: bool) -> PlaybookView | None:
    """Whatever it is called and however it is described."""
    does = {f"definition__{part}": plain(definition.get(part)) for part in DOES}
    rows = Playbook.objects.filter(namespace=namespace, origin="learned", **does)
    rows = rows.exclude(state="retired").filter(verified__in={verified, True})
    row = rows.order_by("pk").first()
    return viewed(row.pk) if row else None


def playbook_of(name: str, hashed: str, namespace: str) -> PlaybookView | None:
    """The very version that a plan was made from, whatever is in force now."""
    rows = Playbook.objects.filter(
        name=name, definition_hash=hashed, namespace__in={namespace, ""}
    ).order_by("namespace", "version")
    row = rows.last()
    return viewed(row.pk) if row else None


def playbook_used(
    playbook_id: int,
    goal_id: int,
    *,
    namespace: str,
    success: bool,
    steps: int | None = None,
    trigger: str = "",
    lessons: Mapping[str, Any] | None = None,
) -> PlaybookView:
    """Count how a goal that used the playbook ended; again for a goal replaces what was counted.
    `trigger` is the goal's objective with parameters in place of values."""
    with transaction.atomic():
        row = Playbook.objects.select_for_update().filter(pk=playbook_id).first()
        if row is None:
            raise NotFound(kind="playbook", id=playbook_id, listing="memory playbooks")
        before = PlaybookUse.objects.filter(playbook=row, goal_id=goal_id).first()
        if before is not None and not before.origin and before.success is not success:
            _count(row, before.success, -1)
        if before is None or (not before.origin and before.success is not success):
            _count(row, success, 1)
        PlaybookUse.objects.update_or_create(
            playbook=row,
            goal_id=goal_id,
            defaults={
                "namespace": namespace,
                "success": success,
                "steps": steps,
                "trigger": str(plain(trigger)),
                "lessons": plain(lessons or {}),
            },
        )
    return viewed(playbook_id)


def _count(row: Playbook, success: bool, by: int) -> None:
    field = "successes" if success else "failures"
    Playbook.objects.filter(pk=row.pk).update(**{field: F(field) + by}, last_used_at=Now())


def playbook_triggers(namespace: str) -> dict[str, list[str]]:
    """By a playbook's name, for what goals of this namespace it was used with success, as
    templates; the latest first. A name is looked at, so that a new version keeps them."""
    rows = (
        PlaybookUse.objects.filter(namespace=namespace, success=True)
        .exclude(trigger="")
        .order_by("-at")
        .values_list("playbook__name", "trigger")[:1000]
    )
    found: dict[str, list[str]] = {}
    for name, trigger in rows:
        known = found.setdefault(name, [])
        if trigger not in known and len(known) < TRIGGERS_MAX:
            known.append(trigger)
    return found


def playbook_lesson(
    namespace: str, name: str, key: str, *, before: datetime
) -> tuple[int, list[str]]:
    """(goal, names of the verifiers that refused its attempts at the task `key`) of the latest goal
    that ended in LESSON_DAYS before `before` and in which a later attempt then held; (0, []) where
    there is none."""
    recent = PlaybookUse.objects.filter(
        namespace=namespace,
        playbook__name=name,
        lessons__has_key=key,
        at__lt=before,
        at__gt=before - timedelta(days=LESSON_DAYS),
    ).order_by("-at")
    use = recent.first()
    return (use.goal_id, list(use.lessons[key])) if use else (0, [])


def playbook_activate(playbook_id: int, *, by: str, reason: str = "") -> PlaybookView:
    """A person puts a candidate in force. NotFound, or NotInState for one that is retired."""
    with transaction.atomic():
        row = _locked(playbook_id)
        if row.state == "retired":
            way_out = "save it as a new version, or use another"
            raise NotInState(name=row.name, version=row.version, state=row.state, way_out=way_out)
        _note(row, "active", by, reason or "put in force")
    return viewed(playbook_id)


def playbook_retire(playbook_id: int, *, by: str, reason: str) -> PlaybookView:
    """It is not found any more; the record stays. BadInput without a reason."""
    if not reason.strip():
        raise BadInput(what="playbook", problems=["a reason is needed: --reason TEXT"])
    with transaction.atomic():
        row = _locked(playbook_id)
        if row.state == "retired":
            raise NotInState(name=row.name, version=row.version, state=row.state, way_out=row.note)
        _note(row, "retired", by, reason)
    return viewed(playbook_id)


def _locked(playbook_id: int) -> Playbook:
    row = Playbook.objects.select_for_update().filter(pk=playbook_id).first()
    if row is None:
        raise NotFound(kind="playbook", id=playbook_id, listing="memory playbooks")
    return row


def _note(row: Playbook, state: str, by: str, reason: str) -> None:
    note = str(plain(f"{state} by {by}: {reason}"))[:NOTE_MAX]
    Playbook.objects.filter(pk=row.pk).update(state=state, note=note)
