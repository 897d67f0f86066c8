"""Several at once: each is done or refused by itself, and the answer has a result for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from agentsys.kernel.errors import AgentsysError
from orchestration.api import bodies
from orchestration.api.access import Act
from orchestration.api.documents import BulkDocument, answers
from orchestration.api.doors import actor, enter, person
from orchestration.api.problems import AWAY, handler
from orchestration.api.steering import VERBS
from orchestration.api.stepping import password_to_decide
from orchestration.models import ApprovalRequest, Goal
from orchestration.services import approvals

STEERING = {verb.name: verb for verb in VERBS if verb.name in bodies.BULK_ACTS}


@extend_schema(
    operation_id="goals_bulk",
    description="Pause, resume, cancel or retry several goals. 200 also where some were refused: each"
    " result says.",
    tags=["goals"],
    request=bodies.GoalsBulk,
    responses=answers(BulkDocument),
)
@api_view(["POST"])
def goals_bulk(request: Request) -> Response:
    values = bodies.parsed(bodies.GoalsBulk, request)
    verb = STEERING[values["act"]]

    def steer(goal_id: int) -> str:
        enter(request.user, "goal", goal_id, Act.CONTROL)
        verb.do(goal_id, values, actor(request))
        return str(Goal.objects.values_list("state", flat=True).get(pk=goal_id))

    return _each(values["goals"], steer)


@extend_schema(
    operation_id="approvals_bulk",
    description="The same decision on several requests. 200 also where some were refused: each result"
    " says. An edit is of one request: `approvals/ID/decide`.",
    tags=["approvals"],
    request=bodies.ApprovalsBulk,
    responses=answers(BulkDocument),
)
@api_view(["POST"])
def approvals_bulk(request: Request) -> Response:
    values = bodies.parsed(bodies.ApprovalsBulk, request)

    def decide(approval_id: int) -> str:
        enter(request.user, "approval", approval_id, Act.DECIDE)
        password_to_decide(request, approval_id, values["decision"])
        approvals.approval_decide(
            approval_id,
            user=person(request),
            decision=values["decision"],
            reason=values["reason"],
        )
        return str(ApprovalRequest.objects.values_list("state", flat=True).get(pk=approval_id))

    return _each(values["approvals"], decide)


def _each(ids: list[int], do: Callable[[int], str]) -> Response:
    """In the order given, each once."""
    results = [{"id": pk, **_done(pk, do)} for pk in dict.fromkeys(ids)]
    done = sum(result["done"] for result in results)
    return Response({"done": done, "refused": len(results) - done, "results": results})


def _done(pk: int, do: Callable[[int], str]) -> dict[str, Any]:
    try:
        return {"done": True, "state": do(pk), "problem": None}
    except (AgentsysError, PermissionDenied, APIException, *AWAY) as error:
        told = handler(error, {})
        assert told is not None
        return {"done": False, "state": None, "problem": told.data}
