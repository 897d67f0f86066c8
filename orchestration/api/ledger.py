"""A goal's ledger, page by page."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api.doors import enter
from orchestration.api.filters import number, since_until, words
from orchestration.api.listing import Listing
from orchestration.api.paging import whole
from orchestration.api.rows import EntryRow
from orchestration.models import LedgerEntry
from orchestration.services import reads

AFTER = OpenApiParameter("after", OpenApiTypes.INT, description="Entries with a larger seq.")


def _named(rows: QuerySet[Any], pattern: str, _request: Request) -> QuerySet[Any]:
    """`*` stands for anything, as in subscriptions."""
    return rows.filter(event__regex=f"^{'.*'.join(map(re.escape, pattern.split('*')))}$")


ENTRIES = Listing(
    "entries",
    EntryRow,
    (
        number("after", "seq__gt", "Entries with a larger seq."),
        replace(words("event", text="A name with * for anything, as goal.*"), narrow=_named),
        words("actor"),
        number("task", "task_id", "Only of this task."),
        number("attempt", "attempt_id", "Only of this attempt."),
        *since_until("at"),
    ),
    {"seq": "seq"},
    order="seq",
    limit=200,
    limit_max=2000,
)


@ENTRIES.described(
    "goals_ledger",
    tags=["ledger"],
    text="The goal's ledger in order; docs/events.md has every event and its payload. `last_seq` is that"
    " of the page's last entry, to go on from with `after`.",
)
@api_view(["GET"])
def goal_ledger(request: Request, goal_id: int) -> Response:
    enter(request.user, "goal", goal_id)
    after = whole(request, "after", default=0, least=0)
    return ENTRIES.page(
        request,
        LedgerEntry.objects.filter(goal=goal_id),
        reads.entries_view,
        last_seq=lambda shown: shown[-1]["seq"] if shown else after,
    )


def entries_after(goal_id: int, after: int, limit: int) -> list[dict[str, Any]]:
    """Entries with seq > `after`, in order."""
    return reads.ledger_view(goal_id, after, limit)
