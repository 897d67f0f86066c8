"""Approvals: what waits for a person, and the decision."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import Act, scoped
from orchestration.api.documents import LIMIT, ApprovalDocument, ApprovalsDocument, answers
from orchestration.api.doors import enter, person
from orchestration.api.paging import chosen, whole
from orchestration.models import ApprovalRequest
from orchestration.models.control import REQUEST_STATES
from orchestration.services import approvals, reads


@extend_schema(
    operation_id="approvals_list",
    tags=["approvals"],
    parameters=[
        LIMIT,
        OpenApiParameter(
            "state", OpenApiTypes.STR, enum=[*REQUEST_STATES, "all"], description="Default: open."
        ),
    ],
    responses=answers(ApprovalsDocument),
)
@api_view(["GET"])
def approvals_list(request: Request) -> Response:
    state = chosen(request, "state", [*REQUEST_STATES, "all"], default="open")
    rows = scoped(ApprovalRequest.objects.all(), request.user, "goal__project").order_by("id")
    if state != "all":
        rows = rows.filter(state=state)
    found = rows.select_related("goal", "task")
    limit = whole(request, "limit", default=100, most=500)
    return Response({"approvals": [reads.approval_line(row) for row in found[:limit]]})


@extend_schema(
    operation_id="approvals_show", tags=["approvals"], responses=answers(ApprovalDocument)
)
@api_view(["GET"])
def approval_show(request: Request, approval_id: int) -> Response:
    enter(request.user, "approval", approval_id)
    return Response(reads.approval_view(approval_id))


@extend_schema(
    operation_id="approvals_decide",
    description="approve | edit | reject (with a reason) | respond; `allowed` has those possible.",
    tags=["approvals"],
    request=bodies.DecisionBody,
    responses=answers(ApprovalDocument),
)
@api_view(["POST"])
def approval_decide(request: Request, approval_id: int) -> Response:
    enter(request.user, "approval", approval_id, Act.DECIDE)
    values = bodies.parsed(bodies.DecisionBody, request)
    approvals.approval_decide(approval_id, user=person(request), **values)
    return Response(reads.approval_view(approval_id))
