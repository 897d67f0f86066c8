"""A goal's ledger, page by page."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api.documents import LIMIT, LedgerDocument, answers
from orchestration.api.doors import enter
from orchestration.api.paging import whole
from orchestration.services import reads

AFTER = OpenApiParameter("after", OpenApiTypes.INT, description="Entries with a larger seq.")


@extend_schema(
    operation_id="goals_ledger",
    description="The goal's ledger in order; docs/events.md has every event and its payload.",
    tags=["ledger"],
    parameters=[LIMIT, AFTER],
    responses=answers(LedgerDocument),
)
@api_view(["GET"])
def goal_ledger(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    after = whole(request, "after", default=0, least=0)
    limit = whole(request, "limit", default=200, most=2000)
    entries = entries_after(goal_id, after, limit)
    return Response({"entries": entries, "last_seq": entries[-1]["seq"] if entries else after})


def entries_after(goal_id: int, after: int, limit: int) -> list[dict[str, Any]]:
    """Entries with seq > `after`, in order."""
    return reads.ledger_view(goal_id, after, limit)
