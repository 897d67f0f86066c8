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
from agentsys.kernel.errors import AgentsysError, BadInput, NoSuchName
from orchestration.domain.cron import cron_problems, next_time
from orchestration.models import Goal, Project, Schedule
from orchestration.services.goals import goal_submit

FIELDS = (
    "cron", "time_zone", "objective", "playbook", "params", "repository", "priority", "overlap",
)  # fmt: skip
DUE_MAX = 100  # of one sweep


def schedule_set(
    project: str, name: str, values: Mapping[str, Any], *, enabled: bool = True, actor: str
) -> Schedule:
    """Make a schedule, or change that of the same name; `values` are some of FIELDS, the others stay.
    BadInput names every problem."""
    found = Project.objects.filter(name=project).first()
    if found is None:
        names = list(Project.objects.order_by("name").values_list("name", flat=True)[:11])
        raise NoSuchName(kind="project", name=project, names=names)
    row = Schedule.objects.filter(project=found, name=name).first()
    row = row or Schedule(project=found, name=name, created_by=actor)
    for field in FIELDS:
        if field in values:
            setattr(row, field, values[field])
    row.enabled = enabled
    schedule_save(row)
    return row


def schedule_save(row: Schedule) -> None:
    """Write it with the next time from now on. BadInput names every problem."""
    problems = list(cron_problems(row.cron, row.time_zone).values())
    if not row.objective.strip():
        problems.append("the objective is empty; say in a sentence what you want")
    if not isinstance(row.params, dict):
        problems.append("params must be an object of names and values")
    if problems:
        raise BadInput(what="schedule", problems=problems)
    row.due_at = next_time(row.cron, row.time_zone, _now()) if row.enabled else None
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        problem = f"a schedule `{row.name}` is there already in this project"
        raise BadInput(what="schedule", problems=[problem]) from error


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
