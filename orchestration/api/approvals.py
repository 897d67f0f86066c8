"""Approvals: what waits for a person, and the decision."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import Act, scoped
from orchestration.api.documents import ApprovalDocument, answers
from orchestration.api.doors import enter, person
from orchestration.api.filters import choice, moment, of, project, since_until, yes_no
from orchestration.api.listing import Listing
from orchestration.api.rows import ApprovalRow
from orchestration.api.stepping import password_to_decide
from orchestration.api.versions import IF_MATCH, TAG, as_seen, tagged
from orchestration.models import ApprovalRequest
from orchestration.models.control import REQUEST_KINDS, REQUEST_STATES
from orchestration.services import approvals, reads

APPROVALS = Listing(
    "approvals",
    ApprovalRow,
    (
        choice("state", REQUEST_STATES, default="open"),
        project("goal__project"),
        of("goal"),
        of("task"),
        choice("kind", REQUEST_KINDS),
        choice("risk", ("read", "write", "irreversible")),
        yes_no("escalated", "escalated_at__isnull", turned=True),
        moment("due_until", "due_at__lt", "Those that are due before then."),
        *since_until("created_at"),
    ),
    {"id": "pk", "created_at": "created_at"},
    order="id",
    limit=100,
    limit_max=500,
)


@APPROVALS.described("approvals_list", tags=["approvals"])
@api_view(["GET"])
def approvals_list(request: Request) -> Response:
    rows = scoped(ApprovalRequest.objects.all(), request.user, "goal__project")
    rows = rows.select_related("goal", "task")
    return APPROVALS.page(request, rows, lambda found: [reads.approval_line(row) for row in found])


@extend_schema(
    operation_id="approvals_show",
    tags=["approvals"],
    parameters=[TAG],
    responses=answers(ApprovalDocument),
)
@api_view(["GET"])
def approval_show(request: Request, approval_id: int) -> Response:
    enter(request.user, "approval", approval_id)
    headers = tagged("approval", approval_id)
    return Response(reads.approval_view(approval_id), headers=headers)


@extend_schema(
    operation_id="approvals_decide",
    description="approve | edit | reject (with a reason) | respond; `allowed` has those possible.",
    tags=["approvals"],
    parameters=[IF_MATCH, TAG],
    request=bodies.DecisionBody,
    responses=answers(ApprovalDocument),
)
@api_view(["POST"])
def approval_decide(request: Request, approval_id: int) -> Response:
    enter(request.user, "approval", approval_id, Act.DECIDE)
    values = bodies.parsed(bodies.DecisionBody, request)
    password_to_decide(request, approval_id, values["decision"])
    with as_seen(request, "approval", approval_id):
        approvals.approval_decide(approval_id, user=person(request), **values)
    headers = tagged("approval", approval_id)
    return Response(reads.approval_view(approval_id), headers=headers)
