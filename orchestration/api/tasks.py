"""Tasks, attempts and proposals: looking; and setting a verdict aside."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import Act
from orchestration.api.documents import ANYTHING, TaskDocument, answers
from orchestration.api.doors import enter, person
from orchestration.api.stepping import password_for
from orchestration.api.versions import TAG, tagged
from orchestration.services import reads, verdicts


@extend_schema(
    operation_id="tasks_show", tags=["tasks"], parameters=[TAG], responses=answers(TaskDocument)
)
@api_view(["GET"])
def task_show(request: Request, task_id: int) -> Response:
    enter(request.user, "task", task_id)
    headers = tagged("task", task_id)
    return Response(reads.task_view(task_id), headers=headers)


@extend_schema(operation_id="attempts_show", tags=["tasks"], responses=answers(ANYTHING))
@api_view(["GET"])
def attempt_show(request: Request, attempt_id: int) -> Response:
    enter(request.user, "attempt", attempt_id)
    return Response(reads.attempt_view(attempt_id))


@extend_schema(
    operation_id="attempts_overrule",
    description="Set a verdict aside. What the verifier said stays beside it, with who and why.",
    tags=["tasks"],
    request=bodies.Verdict,
    responses=answers(ANYTHING),
)
@api_view(["POST"])
def attempt_overrule(request: Request, attempt_id: int) -> Response:
    enter(request.user, "attempt", attempt_id, Act.OVERRULE)
    values = bodies.parsed(bodies.Verdict, request)
    password_for(request, f"to overrule a verdict on attempt-{attempt_id}")
    verdicts.verdict_overrule(
        attempt_id,
        values["verifier"],
        values["voter"],
        outcome=values["outcome"],
        user=person(request),
        reason=values["reason"],
    )
    return Response(reads.attempt_view(attempt_id))


@extend_schema(operation_id="proposals_show", tags=["proposals"], responses=answers(ANYTHING))
@api_view(["GET"])
def proposal_show(request: Request, proposal_id: int) -> Response:
    enter(request.user, "proposal", proposal_id)
    return Response(reads.proposal_view(proposal_id))
