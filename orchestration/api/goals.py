"""Goals: submit and look. `steering` has what changes a goal that is there."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import Act, visible_goals
from orchestration.api.documents import (
    IDEMPOTENCY_KEY,
    ClaimsDocument,
    GoalDocument,
    answers,
)
from orchestration.api.doors import actor, enter, project_named, require
from orchestration.api.filters import choice, number, project, since_until, words, yes_no
from orchestration.api.listing import Listing
from orchestration.api.rows import GoalRow
from orchestration.api.stepping import password_to_submit
from orchestration.api.versions import TAG, tagged
from orchestration.domain.lives import GoalState
from orchestration.services import goals, reads
from orchestration.services.claims import claims_view

GOALS = Listing(
    "goals",
    GoalRow,
    (
        project(),
        choice("state", [str(state) for state in GoalState]),
        yes_no("paused", "paused_at__isnull", turned=True),
        yes_no("over", "finished_at__isnull", turned=True),
        words("q", "objective__icontains", "Words of the objective, one after another."),
        words("created_by", text="Who submitted it."),
        number("before", "pk__lt", "Goals with a smaller id."),
        *since_until("created_at"),
    ),
    {"id": "pk", "created_at": "created_at", "priority": "priority"},
)


@GOALS.described("goals_list", tags=["goals"], methods=["GET"])
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


@extend_schema(
    operation_id="goals_show", tags=["goals"], parameters=[TAG], responses=answers(GoalDocument)
)
@api_view(["GET"])
def goal_show(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    headers = tagged("goal", goal_id)
    return Response(reads.goal_view(goal_id), headers=headers)


@extend_schema(operation_id="goals_claims", tags=["goals"], responses=answers(ClaimsDocument))
@api_view(["GET"])
def goal_claims(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    return Response(claims_view(goal_id))


def _list(request: Request) -> Response:
    rows = reads.goals_asked(visible_goals(request.user))
    return GOALS.page(request, rows, lambda found: [reads.goal_row(goal) for goal in found])


def _submit(request: Request) -> Response:
    values = bodies.parsed(bodies.GoalSubmission, request)
    if not request.user.is_superuser:  # who may hand in a goal of a project that is not there yet
        require(request.user, Act.CONTROL, project_named(request.user, values["project"]).pk)
    password_to_submit(request, values["project"], values["budget"] or {})
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
