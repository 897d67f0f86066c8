"""Goals that come again and again: submitted by the sweep when they are due, each time once.

A time that is due has a key of its own, so a sweep that dies between submitting and writing the next time
finds the same goal again. Times that were missed, with no worker alive, are made up for by one goal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, connection, transaction

from agentsys.kernel.crashpoints import crashpoint
from agentsys.kernel.errors import AgentsysError, BadInput, NoSuchName, NotFound
from agentsys.kernel.hashing import fault, plain
from orchestration.domain.cron import cron_problems, explained, next_time
from orchestration.models import Goal, Project, Schedule
from orchestration.services.goals import fingerprint, goal_submit
from orchestration.services.reads import iso

FIELDS = (
    "cron", "time_zone", "objective", "playbook", "params", "repository", "priority", "overlap",
)  # fmt: skip
DUE_MAX = 100  # of one sweep


def schedule_add(
    project: Project,
    name: str,
    values: Mapping[str, Any],
    *,
    enabled: bool = True,
    actor: str,
    idempotency_key: str | None = None,
) -> Schedule:
    """Make a schedule of `values`, some of FIELDS. The same `idempotency_key` in one project gives the
    same schedule back, as it is by then. BadInput names every problem, a name that is taken and a key
    that came before with something else among them."""
    asked = fingerprint(idempotency_key, [name, dict(values), enabled])
    earlier = _earlier(project, idempotency_key, asked)
    if earlier is not None:
        return earlier
    row = Schedule(
        project=project, name=name, enabled=enabled, created_by=actor,
        idempotency_key=idempotency_key or None, asked=asked, **values,
    )  # fmt: skip
    try:
        schedule_save(row)
    except BadInput:
        earlier = _earlier(project, idempotency_key, asked)  # the same request was faster
        if earlier is None:
            raise
        return earlier
    return row


def schedule_change(schedule_id: int, values: Mapping[str, Any]) -> Schedule:
    """Change some of FIELDS, `name` or `enabled`; the others stay. BadInput names every problem."""
    with transaction.atomic():
        row = schedule_locked(schedule_id)
        for field, value in values.items():
            setattr(row, field, value)
        schedule_save(row)
    return row


def schedule_set(
    project: str, name: str, values: Mapping[str, Any], *, enabled: bool = True, actor: str
) -> Schedule:
    """Make a schedule, or change that of the same name."""
    found = Project.objects.filter(name=project).first()
    if found is None:
        names = list(Project.objects.order_by("name").values_list("name", flat=True)[:11])
        raise NoSuchName(kind="project", name=project, names=names)
    row = Schedule.objects.filter(project=found, name=name).first()
    if row is None:
        return schedule_add(found, name, values, enabled=enabled, actor=actor)
    return schedule_change(row.pk, {**values, "enabled": enabled})


def schedule_locked(schedule_id: int) -> Schedule:
    """The row, which nobody else changes until the caller's transaction ends; NotFound."""
    rows = Schedule.objects.select_related("project").select_for_update(of=("self",))
    row = rows.filter(pk=schedule_id).first()
    if row is None:
        raise NotFound(kind="schedule", id=schedule_id, listing="schedules list")
    return row


def schedule_remove(schedule_id: int) -> None:
    """Forget it; its goals stay."""
    with transaction.atomic():
        schedule_locked(schedule_id).delete()


def schedule_line(row: Schedule) -> dict[str, Any]:
    """What `schedules list --json` and the API give."""
    return {
        "id": row.pk,
        "project": row.project.name,
        "name": row.name,
        **{name: getattr(row, name) for name in FIELDS},
        "when": explained(row.cron),
        "enabled": row.enabled,
        "due_at": iso(row.due_at),
        "last_at": iso(row.last_at),
        "last_goal": row.last_goal_id,
        "problem": row.problem,
        "created_by": row.created_by,
        "created_at": iso(row.created_at),
    }


def schedule_save(row: Schedule) -> None:
    """Write it, with the next time from now on where its times are new. BadInput names every problem."""
    problems = list(cron_problems(row.cron, row.time_zone).values())
    if not row.objective.strip():
        problems.append("the objective is empty; say in a sentence what you want")
    if not isinstance(row.params, dict):
        problems.append("params must be an object of names and values")
    elif wrong := fault(row.params):
        problems.append(f"params: {wrong}")
    if problems:
        raise BadInput(what="schedule", problems=problems)
    row.params = plain(row.params)
    row.due_at = _due(row) if row.enabled else None
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        problem = f"a schedule `{row.name}` is there already in this project"
        raise BadInput(what="schedule", problems=[problem]) from error


def _due(row: Schedule) -> datetime | None:
    """The time that it waits for stays while its times do: it may be due this minute, and not be met yet."""
    same = Schedule.objects.filter(pk=row.pk, cron=row.cron, time_zone=row.time_zone)
    waits = same.values_list("due_at", flat=True).first()
    return waits or next_time(row.cron, row.time_zone, _now())


def _earlier(project: Project, key: str | None, asked: str) -> Schedule | None:
    """The schedule that came with this key before; BadInput when it was another one."""
    if not key:
        return None
    found = Schedule.objects.filter(project=project, idempotency_key=key).first()
    if found is not None and found.asked != asked:
        problem = (
            f"{found} came with this key and other values; give each schedule a key of its own"
        )
        raise BadInput(what="idempotency key", problems=[problem])
    return found


def schedules_due() -> list[int]:
    rows = Schedule.objects.filter(enabled=True, due_at__lte=_now()).order_by("due_at", "pk")
    return list(rows.values_list("pk", flat=True)[:DUE_MAX])


def schedule_fire(schedule_id: int) -> None:
    """What is due of it becomes a goal, or a problem that is kept; then it waits for its next time."""
    row = Schedule.objects.select_related("project", "last_goal").get(pk=schedule_id)
    now = _now()
    if not row.enabled or row.due_at is None or row.due_at > now:
        return
    goal, problem = _fired(row, f"schedule-{row.pk} {row.due_at.astimezone(UTC):%Y-%m-%dT%H:%M}")
    crashpoint("C22")
    following = next_time(row.cron, row.time_zone, now)
    # Somebody who changed it meanwhile has the last word on when it is due.
    Schedule.objects.filter(pk=row.pk, due_at=row.due_at).update(
        due_at=following,
        enabled=following is not None,
        last_at=now,
        problem=problem,
        **({"last_goal": goal} if goal else {}),
    )


def schedule_run(schedule_id: int, *, actor: str, key: str | None = None) -> Goal:
    """A goal of it now, whatever its times say; they stay."""
    row = Schedule.objects.select_related("project").get(pk=schedule_id)
    goal = _submitted(row, key, actor)
    Schedule.objects.filter(pk=row.pk).update(last_goal=goal, last_at=_now(), problem="")
    return goal


def _fired(row: Schedule, key: str) -> tuple[Goal | None, str]:
    last = row.last_goal
    under_way = last is not None and last.finished_at is None and last.idempotency_key != key
    if under_way and not row.overlap:
        return None, f"{last} of the last time was still under way"
    try:
        return _submitted(row, key, f"schedule:{row.name}"), ""
    except AgentsysError as error:
        return None, str(error)


def _submitted(row: Schedule, key: str | None, actor: str) -> Goal:
    return goal_submit(
        objective=row.objective,
        project=row.project.name,
        playbook=row.playbook or None,
        params=row.params,
        repository=row.repository,
        priority=row.priority,
        idempotency_key=key,
        actor=actor,
    )


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    found: datetime = now
    return found
