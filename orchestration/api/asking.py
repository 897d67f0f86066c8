"""What a person asks about: why something does not run, and what happened to a goal meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api.documents import ANYTHING, WhyDocument, answers
from orchestration.api.doors import enter
from orchestration.services.recap import recap
from orchestration.services.why import why

ASKED = ("goal", "task", "attempt", "proposal", "approval")


def why_of(kind: str) -> Callable[..., Response]:
    """The view that says why a `kind` does not run."""

    @extend_schema(
        operation_id=f"{kind}s_why",
        description="Why it does not run, in a sentence that names what it waits for.",
        tags=[f"{kind}s"] if kind != "attempt" else ["tasks"],
        responses=answers(WhyDocument),
    )
    @api_view(["GET"])
    def asked(request: Request, /, **named: Any) -> Response:
        row_id = named[f"{kind}_id"]
        enter(request.user, kind, row_id)
        return Response(asdict(why(f"{kind}-{row_id}")))

    return asked


@extend_schema(
    operation_id="goals_brief",
    description="For who was away: what is done, failed, running, in doubt and decided, what was spent,"
    " and what waits for a person.",
    tags=["goals"],
    responses=answers(ANYTHING),
)
@api_view(["GET"])
def goal_brief(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    return Response(recap(goal_id))
