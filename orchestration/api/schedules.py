"""Schedules: goals that come again and again. Whoever may submit goals in a project may change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import Act, scoped
from orchestration.api.documents import (
    IDEMPOTENCY_KEY,
    GoalDocument,
    ScheduleDocument,
    answers,
)
from orchestration.api.doors import actor, enter, project_named, require
from orchestration.api.filters import project, words, yes_no
from orchestration.api.listing import Listing
from orchestration.api.rows import ScheduleRow
from orchestration.api.versions import IF_MATCH, TAG, as_seen, tagged
from orchestration.models import Schedule
from orchestration.services import reads, schedules

SCHEDULES = Listing(
    "schedules",
    ScheduleRow,
    (
        project(),
        yes_no("enabled", text="false: those that are paused."),
        words("name"),
        words("q", "objective__icontains", "Words of the objective, one after another."),
    ),
    {"id": "pk", "name": "name", "created_at": "created_at"},
    order="id",
)


@SCHEDULES.described("schedules_list", tags=["schedules"], methods=["GET"])
@extend_schema(
    methods=["POST"],
    operation_id="schedules_add",
    tags=["schedules"],
    description="Make a schedule: a goal is submitted each time that `cron` says, in its `time_zone`.",
    parameters=[IDEMPOTENCY_KEY, TAG],
    request=bodies.NewSchedule,
    responses=answers(ScheduleDocument, 201),
)
@api_view(["GET", "POST"])
def schedules_root(request: Request) -> Response:
    if request.method == "POST":
        return _add(request)
    rows = scoped(Schedule.objects.select_related("project"), request.user, "project")
    return SCHEDULES.page(request, rows, _lines)


@extend_schema(
    methods=["GET"], operation_id="schedules_show", tags=["schedules"], parameters=[TAG],
    responses=answers(ScheduleDocument),
)  # fmt: skip
@extend_schema(
    methods=["PATCH"],
    operation_id="schedules_change",
    description="What is named is changed. The next time is counted from now on.",
    tags=["schedules"],
    parameters=[IF_MATCH, TAG],
    request=bodies.ScheduleChange,
    responses=answers(ScheduleDocument),
)
@extend_schema(
    methods=["DELETE"],
    operation_id="schedules_remove",
    description="Forget it. Its goals stay.",
    tags=["schedules"],
    parameters=[IF_MATCH],
    responses=answers(None, 204),
)
@api_view(["GET", "PATCH", "DELETE"])
def schedule_show(request: Request, schedule_id: int) -> Response:
    if request.method == "GET":
        enter(request.user, "schedule", schedule_id)
        return _shown(schedule_id)
    enter(request.user, "schedule", schedule_id, Act.CONTROL)
    if request.method == "PATCH":
        return _changed(request, schedule_id, bodies.parsed(bodies.ScheduleChange, request))
    with as_seen(request, "schedule", schedule_id):
        schedules.schedule_remove(schedule_id)
    return Response(status=204)


@extend_schema(
    operation_id="schedules_pause",
    description="Nothing more comes of it until it is resumed.",
    tags=["schedules"],
    parameters=[IF_MATCH, TAG],
    request=bodies.Empty,
    responses=answers(ScheduleDocument),
)
@api_view(["POST"])
def schedule_pause(request: Request, schedule_id: int) -> Response:
    return _switched(request, schedule_id, enabled=False)


@extend_schema(
    operation_id="schedules_resume",
    description="Let it come again, the next time from now on.",
    tags=["schedules"],
    parameters=[IF_MATCH, TAG],
    request=bodies.Empty,
    responses=answers(ScheduleDocument),
)
@api_view(["POST"])
def schedule_resume(request: Request, schedule_id: int) -> Response:
    return _switched(request, schedule_id, enabled=True)


@extend_schema(
    operation_id="schedules_run",
    description="Submit a goal of it now, whatever its times say; they stay.",
    tags=["schedules"],
    parameters=[IDEMPOTENCY_KEY, IF_MATCH],
    request=bodies.Empty,
    responses=answers(GoalDocument, 201),
)
@api_view(["POST"])
def schedule_run(request: Request, schedule_id: int) -> Response:
    enter(request.user, "schedule", schedule_id, Act.CONTROL)
    bodies.parsed(bodies.Empty, request)
    with as_seen(request, "schedule", schedule_id):
        goal = schedules.schedule_run(schedule_id, actor=actor(request), key=_key(request))
    response = Response(reads.goal_view(goal.pk), status=201)
    response["Location"] = request.build_absolute_uri(f"/api/v1/goals/{goal.pk}")
    return response


def _add(request: Request) -> Response:
    values = bodies.parsed(bodies.NewSchedule, request)
    name, enabled, where = values.pop("name"), values.pop("enabled"), values.pop("project")
    home = project_named(request.user, where)
    require(request.user, Act.CONTROL, home.pk)
    row = schedules.schedule_add(
        home, name, values, enabled=enabled, actor=actor(request), idempotency_key=_key(request)
    )
    response = _shown(row.pk, status=201)
    response["Location"] = request.build_absolute_uri(f"/api/v1/schedules/{row.pk}")
    return response


def _switched(request: Request, schedule_id: int, *, enabled: bool) -> Response:
    enter(request.user, "schedule", schedule_id, Act.CONTROL)
    bodies.parsed(bodies.Empty, request)
    return _changed(request, schedule_id, {"enabled": enabled})


def _changed(request: Request, schedule_id: int, values: dict[str, Any]) -> Response:
    with as_seen(request, "schedule", schedule_id):
        schedules.schedule_change(schedule_id, values)
    return _shown(schedule_id)


def _shown(schedule_id: int, status: int = 200) -> Response:
    headers = tagged("schedule", schedule_id)
    row = Schedule.objects.select_related("project").get(pk=schedule_id)
    return Response(schedules.schedule_line(row), status=status, headers=headers)


def _lines(rows: Sequence[Schedule]) -> list[dict[str, Any]]:
    return [schedules.schedule_line(row) for row in rows]


def _key(request: Request) -> str | None:
    return request.headers.get("Idempotency-Key") or None
