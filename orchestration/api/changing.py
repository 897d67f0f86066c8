"""Changes to what a goal is made of, over HTTP: its plan, one task, an output; and pauses of what is
wider or narrower than a goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from agentsys.kernel.errors import NotFound
from orchestration.api import bodies
from orchestration.api.access import Act
from orchestration.api.documents import (
    ANYTHING,
    BudgetDocument,
    OverrideDocument,
    RevisionDocument,
    StandingDocument,
    answers,
)
from orchestration.api.doors import actor, enter, person, project_named, require
from orchestration.api.filters import choice, words, yes_no
from orchestration.api.listing import Listing
from orchestration.api.paging import BIGGEST, whole
from orchestration.api.rows import TaskRow
from orchestration.api.stepping import password_for, password_to_spend
from orchestration.api.versions import IF_MATCH, as_seen
from orchestration.domain.lives import TaskState
from orchestration.models import Task
from orchestration.services import limits, overrides, pausing, reads, replan

TASKS = Listing(
    "tasks",
    TaskRow,
    (
        choice(
            "state",
            [str(state) for state in TaskState],
            text="Default: all but superseded, which are those of earlier plans.",
        ),
        words("agent"),
        words("phase"),
        words("key", "key__icontains", "A part of its key."),
        yes_no("paused", "paused_at__isnull", turned=True),
    ),
    {"id": "pk", "key": "key", "attempts": "attempts_count"},
    order="id",
    limit=200,
    limit_max=1000,
)
VERSION = OpenApiParameter(
    "version",
    {"type": "integer", "minimum": 1, "maximum": BIGGEST},
    description="Default: the one in force; all are named in `versions`.",
)


@extend_schema(
    methods=["GET"],
    operation_id="goals_plan",
    tags=["plans"],
    parameters=[VERSION],
    responses=answers(ANYTHING),
)
@extend_schema(
    methods=["POST"],
    operation_id="goals_plan_revise",
    description="Put another plan in the place of version `base_version`. Done work of the same key"
    " and definition is kept; 409 when that version is no longer in force.",
    tags=["plans"],
    parameters=[IF_MATCH],
    request=bodies.PlanRevision,
    responses=answers(RevisionDocument),
)
@api_view(["GET", "POST"])
def goal_plan(request: Request, goal_id: int) -> Response:
    if request.method == "GET":
        enter(request.user, "goal", goal_id)
        version = whole(request, "version", default=0) or None
        return Response(reads.plan_view(goal_id, version))
    enter(request.user, "goal", goal_id, Act.CONTROL)
    values = bodies.parsed(bodies.PlanRevision, request)
    with as_seen(request, "goal", goal_id):
        revision = replan.plan_revise(
            goal_id, values["plan"], base_version=values["base_version"], actor=actor(request)
        )
    return Response(revision.to_json())


@TASKS.described("goals_tasks", tags=["goals"], methods=["GET"])
@extend_schema(
    methods=["POST"],
    operation_id="goals_tasks_add",
    description="More tasks beside those that are there; they may depend on any of them.",
    tags=["plans"],
    parameters=[IF_MATCH],
    request=bodies.PlanDocument,
    responses=answers(RevisionDocument),
)
@api_view(["GET", "POST"])
def goal_tasks(request: Request, goal_id: int) -> Response:
    if request.method == "GET":
        enter(request.user, "goal", goal_id)
        return _tasks(request, goal_id)
    enter(request.user, "goal", goal_id, Act.CONTROL)
    document = bodies.parsed(bodies.PlanDocument, request)["plan"]
    with as_seen(request, "goal", goal_id):
        revision = replan.plan_extend(goal_id, document, actor=actor(request))
    return Response(revision.to_json())


def _tasks(request: Request, goal_id: int) -> Response:
    rows = Task.objects.filter(goal=goal_id).defer("definition")
    if "superseded" not in request.query_params.get("state", ""):
        rows = rows.exclude(state="superseded")

    def lines(found: Sequence[Task]) -> list[dict[str, Any]]:
        facts = [{name: getattr(row, name) for name in reads.TASK_FIELDS} for row in found]
        return reads.task_lines(goal_id, facts, all_of_them=False)

    return TASKS.page(request, rows, lines)


@extend_schema(
    operation_id="tasks_edit",
    description="Another definition of a task: it runs again, and so does all that was built on it."
    " With `preview` nothing is changed.",
    tags=["tasks"],
    parameters=[IF_MATCH],
    request=bodies.TaskEdit,
    responses=answers(RevisionDocument),
)
@api_view(["POST"])
def task_edit(request: Request, task_id: int) -> Response:
    enter(request.user, "task", task_id, Act.CONTROL)
    values = bodies.parsed(bodies.TaskEdit, request)
    row = Task.objects.filter(pk=task_id).exclude(state="superseded").first()
    if row is None:
        raise NotFound(kind="task in force", id=task_id, listing="goals show GOAL")
    with as_seen(request, "task", task_id):
        revision = replan.task_edit(
            row.goal_id,
            row.key,
            values["changes"],
            actor=actor(request),
            preview=values["preview"],
        )
    return Response(revision.to_json())


@extend_schema(
    operation_id="tasks_override",
    description="A person's output in the place of the task's. `stale` names what ran on the old"
    " one; with `rerun` that runs again.",
    tags=["tasks"],
    parameters=[IF_MATCH],
    request=bodies.OutputOverride,
    responses=answers(OverrideDocument),
)
@api_view(["POST"])
def task_override(request: Request, task_id: int) -> Response:
    enter(request.user, "task", task_id, Act.OVERRULE)
    values = bodies.parsed(bodies.OutputOverride, request)
    if not values["preview"]:
        password_for(request, f"to override the output of task-{task_id}")
    with as_seen(request, "task", task_id):
        told = overrides.output_override(
            task_id,
            values["output"],
            user=person(request),
            reason=values["reason"],
            rerun=values["rerun"],
            preview=values["preview"],
        )
    return Response(told.to_json())


def budget_of(kind: str) -> Callable[..., Response]:
    """The view of the budgets of one kind of thing: `project`, `goal` or `task`."""

    @extend_schema(
        methods=["GET"], operation_id=f"{kind}s_budget", tags=[f"{kind}s"],
        responses=answers(BudgetDocument),
    )  # fmt: skip
    @extend_schema(
        methods=["PATCH"],
        operation_id=f"{kind}s_budget_set",
        description="Set the limits that are named. Work that waited for room goes on.",
        tags=[f"{kind}s"],
        parameters=[] if kind == "project" else [IF_MATCH],
        request=bodies.Limits,
        responses=answers(BudgetDocument),
    )
    @api_view(["GET", "PATCH"])
    def budget(request: Request, /, **named: Any) -> Response:
        act = Act.VIEW if request.method == "GET" else Act.CONTROL
        if kind == "project":
            pk = _project(request, named["name"], act)
        else:
            pk = named[f"{kind}_id"]
            enter(request.user, kind, pk, act)
        ref = f"{kind}-{pk}"
        if request.method == "PATCH":
            values = bodies.parsed(bodies.Limits, request)
            password_to_spend(request, kind, pk, values)
            with nullcontext() if kind == "project" else as_seen(request, kind, pk):
                limits.budget_set(ref, values, actor=actor(request))
        return Response(limits.budget_view(ref))

    return budget


@extend_schema(
    operation_id="tasks_pause",
    description="The task and all that follows from it stand still.",
    tags=["tasks"],
    parameters=[IF_MATCH],
    request=bodies.Reason,
    responses=answers(StandingDocument),
)
@api_view(["POST"])
def task_pause(request: Request, task_id: int) -> Response:
    enter(request.user, "task", task_id, Act.CONTROL)
    reason = bodies.parsed(bodies.Reason, request)["reason"]
    with as_seen(request, "task", task_id):
        standing = pausing.task_pause(task_id, actor=actor(request), reason=reason)
    return _standing(standing)


@extend_schema(
    operation_id="tasks_resume",
    tags=["tasks"],
    parameters=[IF_MATCH],
    request=bodies.Empty,
    responses=answers(StandingDocument),
)
@api_view(["POST"])
def task_resume(request: Request, task_id: int) -> Response:
    enter(request.user, "task", task_id, Act.CONTROL)
    bodies.parsed(bodies.Empty, request)
    with as_seen(request, "task", task_id):
        standing = pausing.task_resume(task_id, actor=actor(request))
    return _standing(standing)


@extend_schema(
    operation_id="projects_pause",
    description="Every goal of the project stands still, new ones too.",
    tags=["projects"],
    request=bodies.Reason,
    responses=answers(StandingDocument),
)
@api_view(["POST"])
def project_pause(request: Request, name: str) -> Response:
    reason = bodies.parsed(bodies.Reason, request)["reason"]
    _project(request, name)
    return _standing(pausing.project_pause(name, actor=actor(request), reason=reason))


@extend_schema(
    operation_id="projects_resume",
    description="The project's goals go on, but for those that were paused by themselves.",
    tags=["projects"],
    request=bodies.Empty,
    responses=answers(StandingDocument),
)
@api_view(["POST"])
def project_resume(request: Request, name: str) -> Response:
    bodies.parsed(bodies.Empty, request)
    _project(request, name)
    return _standing(pausing.project_resume(name, actor=actor(request)))


@extend_schema(
    operation_id="everything_pause",
    description="Every goal there is stands still, new ones too. For administrators.",
    tags=["projects"],
    request=bodies.Reason,
    responses=answers(StandingDocument),
)
@api_view(["POST"])
def everything_pause(request: Request) -> Response:
    reason = bodies.parsed(bodies.Reason, request)["reason"]
    _administrator(request)
    return _standing(pausing.everything_pause(actor=actor(request), reason=reason))


@extend_schema(
    operation_id="everything_resume",
    description="All goes on that was not paused by itself or with its project.",
    tags=["projects"],
    request=bodies.Empty,
    responses=answers(StandingDocument),
)
@api_view(["POST"])
def everything_resume(request: Request) -> Response:
    bodies.parsed(bodies.Empty, request)
    _administrator(request)
    return _standing(pausing.everything_resume(actor=actor(request)))


def _standing(standing: pausing.Standing) -> Response:
    return Response(asdict(standing))


def _project(request: Request, name: str, act: Act = Act.CONTROL) -> int:
    """The project's id, for whoever may do that to it."""
    project = project_named(request.user, name)
    require(request.user, act, project.pk)
    return project.pk


def _administrator(request: Request) -> None:
    if not request.user.is_superuser:
        raise PermissionDenied("this needs an administrator of the installation")
