"""What subscribers were sent, and what each of them answered: for who may see the subscription, as an
answer is another machine's. What was given up can be sent again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import PermissionDenied
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from orchestration.api import bodies
from orchestration.api.access import administered
from orchestration.api.documents import answers
from orchestration.api.doors import enter
from orchestration.api.filters import choice, of, project, since_until, words
from orchestration.api.listing import Listing
from orchestration.api.rows import DeliveryRow
from orchestration.models import Delivery
from orchestration.models.bus import DELIVERY_STATES
from orchestration.services.bus import deliveries_again
from orchestration.services.listings import delivery_line

DELIVERIES = Listing(
    "deliveries",
    DeliveryRow,
    (
        project("goal__project"),
        of("goal"),
        choice("state", DELIVERY_STATES),
        words("subscription", "subscription__name", "Its name."),
        words("event"),
        *since_until("created_at"),
    ),
    {"id": "pk", "created_at": "created_at"},
)


@DELIVERIES.described(
    "deliveries_list",
    tags=["subscriptions"],
    text="What subscribers were sent in the last 30 days, in projects that you administer.",
)
@api_view(["GET"])
def deliveries_list(request: Request) -> Response:
    rows = Delivery.objects.select_related("subscription")
    return DELIVERIES.page(request, administered(rows, request.user, "goal__project"), _lines)


@extend_schema(
    operation_id="deliveries_again",
    description="Send it again, as if for the first time; one that is under way is left as it is. For"
    " administrators: it lets this machine send requests.",
    tags=["subscriptions"],
    request=bodies.Empty,
    responses=answers(DeliveryRow),
)
@api_view(["POST"])
def delivery_again(request: Request, delivery_id: int) -> Response:
    enter(request.user, "delivery", delivery_id)
    bodies.parsed(bodies.Empty, request)
    if not request.user.is_superuser:
        raise PermissionDenied("this needs an administrator of the installation")
    rows = Delivery.objects.filter(pk=delivery_id)
    deliveries_again(rows)
    return Response(delivery_line(rows.select_related("subscription").get()))


def _lines(rows: Sequence[Delivery]) -> list[dict[str, Any]]:
    return [delivery_line(row) for row in rows]
