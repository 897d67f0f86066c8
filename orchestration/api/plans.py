"""A check of a plan that was not submitted yet. `changing` has the one in force."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from agentsys.kernel.errors import BadInput
from orchestration.api import bodies
from orchestration.api.documents import PlanReport, answers
from orchestration.planners import make_plan


@extend_schema(
    operation_id="plans_validate",
    description="Say what is wrong with a plan document, and write nothing.",
    tags=["plans"],
    request=bodies.PlanDocument,
    responses=answers(PlanReport),
)
@api_view(["POST"])
def plan_validate(request: Request) -> Response:
    document = bodies.parsed(bodies.PlanDocument, request)["plan"]
    try:
        draft = make_plan(objective=str(document.get("objective") or ""), document=document)
    except BadInput as error:
        return Response({"valid": False, "tasks": 0, "problems": error.problems})
    return Response({"valid": True, "tasks": len(draft.tasks), "problems": []})
