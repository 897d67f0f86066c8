"""Goals: submit and look. `steering` has what changes a goal that is there."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import Act, visible_goals
from orchestration.api.documents import (
    IDEMPOTENCY_KEY,
    LIMIT,
    ClaimsDocument,
    GoalDocument,
    GoalsDocument,
    answers,
)
from orchestration.api.doors import actor, enter, project_named, require
from orchestration.api.paging import chosen, whole
from orchestration.domain.lives import GoalState
from orchestration.services import goals, reads
from orchestration.services.claims import claims_view

LIMIT_DEFAULT, LIMIT_MAX = 50, 200


@extend_schema(
    methods=["GET"],
    operation_id="goals_list",
    tags=["goals"],
    parameters=[
        LIMIT,
        OpenApiParameter("project", OpenApiTypes.STR),
        OpenApiParameter("state", OpenApiTypes.STR, enum=[str(state) for state in GoalState]),
        OpenApiParameter("before", OpenApiTypes.INT, description="Goals with a smaller id."),
    ],
    responses=answers(GoalsDocument),
)
@extend_schema(
    methods=["POST"],
    operation_id="goals_submit",
    tags=["goals"],
    parameters=[IDEMPOTENCY_KEY],
    request=bodies.GoalSubmission,
    responses=answers(GoalDocument, 201),
)
@api_view(["GET", "POST"])
def goals_root(request: Request) -> Response:
    return _submit(request) if request.method == "POST" else _list(request)


@extend_schema(operation_id="goals_show", tags=["goals"], responses=answers(GoalDocument))
@api_view(["GET"])
def goal_show(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    return Response(reads.goal_view(goal_id))


@extend_schema(operation_id="goals_claims", tags=["goals"], responses=answers(ClaimsDocument))
@api_view(["GET"])
def goal_claims(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    return Response(claims_view(goal_id))


def _list(request: Request) -> Response:
    limit = whole(request, "limit", default=LIMIT_DEFAULT, most=LIMIT_MAX)
    state = chosen(request, "state", [str(state) for state in GoalState])
    rows = visible_goals(request.user).order_by("-id")
    if name := request.query_params.get("project"):
        project = project_named(request.user, name)
        rows = rows.filter(project=project)
    if state:
        rows = rows.filter(state=state)
    if before := whole(request, "before", default=0, least=0):
        rows = rows.filter(pk__lt=before)
    found = rows.select_related("project")[:limit]
    return Response({"goals": [reads.goal_line(goal) for goal in found]})


def _submit(request: Request) -> Response:
    values = bodies.parsed(bodies.GoalSubmission, request)
    project = project_named(request.user, values["project"])
    if project is not None:
        require(request.user, Act.CONTROL, project.pk)
    document = values.pop("plan")
    objective = values.pop("objective") or (document or {}).get("objective") or ""
    goal = goals.goal_submit(
        objective=objective,
        document=document,
        actor=actor(request),
        idempotency_key=request.headers.get("Idempotency-Key") or None,
        **values,
    )
    response = Response(reads.goal_view(goal.pk), status=201)
    response["Location"] = request.build_absolute_uri(f"/api/v1/goals/{goal.pk}")
    return response
