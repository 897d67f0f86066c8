"""Lists of what hangs off goals: proposals, attempts, artifacts, decisions and model calls; what a goal
cost, and an artifact's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, renderer_classes
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api.access import scoped
from orchestration.api.documents import PROBLEM, PROBLEMS, CostDocument, answers
from orchestration.api.doors import enter
from orchestration.api.filters import choice, number, of, project, since_until, words
from orchestration.api.listing import Listing
from orchestration.api.rows import ArtifactRow, AttemptRow, CallRow, DecisionRow, ProposalRow
from orchestration.domain.lives import AttemptState, ProposalState
from orchestration.models import Artifact, Attempt, Decision, Proposal
from orchestration.models.control import DECISIONS, PROPOSAL_KINDS, REQUEST_KINDS
from orchestration.services.listings import artifact_line, decision_line, proposal_line
from orchestration.services.reads import attempt_line
from orchestration.services.spending import cost_view
from workers.services import blob_get, call_lines, calls_of

RISKS = ("read", "write", "irreversible")

PROPOSALS = Listing(
    "proposals",
    ProposalRow,
    (
        project("goal__project"),
        of("goal"),
        of("task"),
        choice("state", [str(state) for state in ProposalState]),
        choice("kind", PROPOSAL_KINDS),
        choice("risk", RISKS),
        *since_until("created_at"),
    ),
    {"id": "pk", "created_at": "created_at"},
)
ATTEMPTS = Listing(
    "attempts",
    AttemptRow,
    (choice("state", [str(state) for state in AttemptState]), *since_until("created_at")),
    {"id": "pk", "number": "number", "tokens": "tokens"},
    order="number",
)
ARTIFACTS = Listing(
    "artifacts",
    ArtifactRow,
    (
        words("name", "name__icontains", "A part of its name."),
        words("kind", text="Such as output, diff or data."),
        number("attempt", text="Only of this attempt."),
        of("task", "attempt__task"),
    ),
    {"id": "pk", "name": "name", "size": "size"},
    order="id",
)
DECIDED = Listing(
    "decisions",
    DecisionRow,
    (
        choice("decision", DECISIONS),
        choice("kind", REQUEST_KINDS, "request__kind", text="Of what was asked."),
        words("person", "user__username", "Who decided."),
        *since_until("at"),
    ),
    {"id": "pk", "at": "at"},
)
CALLS = Listing(
    "calls",
    CallRow,
    (
        words("role"),
        words("model"),
        words("outcome", text="ok, or the code of an error."),
        number("attempt", "attempt_id", "Only of this attempt."),
        *since_until("created_at"),
    ),
    {"id": "pk", "created_at": "created_at", "latency_ms": "latency_ms"},
)


@PROPOSALS.described("proposals_list", tags=["proposals"])
@api_view(["GET"])
def proposals_list(request: Request) -> Response:
    rows = scoped(Proposal.objects.all(), request.user, "goal__project").select_related("task")
    return PROPOSALS.page(request, rows, _each(proposal_line))


@ATTEMPTS.described("tasks_attempts", tags=["tasks"])
@api_view(["GET"])
def task_attempts(request: Request, task_id: int) -> Response:
    enter(request.user, "task", task_id)
    return ATTEMPTS.page(request, Attempt.objects.filter(task=task_id), _each(attempt_line))


@ARTIFACTS.described("goals_artifacts", tags=["goals"])
@api_view(["GET"])
def goal_artifacts(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    return ARTIFACTS.page(request, Artifact.objects.filter(goal=goal_id), _each(artifact_line))


@DECIDED.described(
    "goals_decisions", tags=["goals"], text="What people decided, on which question, and why."
)
@api_view(["GET"])
def goal_decisions(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    rows = Decision.objects.filter(request__goal=goal_id).select_related("user", "request__task")
    return DECIDED.page(request, rows, _each(decision_line))


@CALLS.described("goals_calls", tags=["goals"], text="Calls of models that were made for the goal.")
@api_view(["GET"])
def goal_calls(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    return CALLS.page(request, calls_of(goal_id), call_lines)


@extend_schema(
    operation_id="goals_cost",
    description="What the goal used so far, and where it went.",
    tags=["goals"],
    responses=answers(CostDocument),
)
@api_view(["GET"])
def goal_cost(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    return Response(cost_view(goal_id))


class AnyBytes(BaseRenderer):
    """Only lets whatever `Accept` is sent through content negotiation."""

    media_type = "*/*"
    format = "bytes"

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> bytes:
        return JSONRenderer().render(data)


@extend_schema(
    operation_id="artifacts_content",
    description="The bytes, to be saved. They are an agent's: the type is only said in the list, and"
    " a browser is told to open nothing of them.",
    tags=["goals"],
    responses={
        (200, "application/octet-stream"): OpenApiTypes.BINARY,
        **dict.fromkeys(PROBLEMS, PROBLEM),
    },
)
@api_view(["GET"])
@renderer_classes([JSONRenderer, AnyBytes])
def artifact_content(request: Request, artifact_id: int) -> HttpResponseBase:
    enter(request.user, "artifact", artifact_id)
    row = Artifact.objects.get(pk=artifact_id)
    response = HttpResponse(blob_get(row.sha256), content_type="application/octet-stream")
    name = row.name.rsplit("/", 1)[-1]
    response["Content-Disposition"] = content_disposition_header(True, name)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["ETag"] = f'"{row.sha256}"'
    return response


def _each(line: Any) -> Any:
    def lines(rows: Sequence[Any]) -> list[dict[str, Any]]:
        return [line(row) for row in rows]

    return lines
