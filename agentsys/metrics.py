"""`/metrics`: what the rows say at the moment of the scrape, in Prometheus' text format.

Nothing is counted in process memory: workers come and go, and web processes are many. Each family
is one statement, so a scrape costs a fixed number of them, whatever is stored. Rates and quantiles
look back one hour; totals are totals.

Served to loopback (not through a proxy), to signed-in staff, and to a superuser's or staff
member's API token: model names, queue depths and spend are nobody else's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from knox.auth import TokenAuthentication
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from agentsys.figures import FAMILIES, VERDICT
from verification import services as verification

LOOPBACK = ("127.0.0.1", "::1", "")


class Collector:
    """Reads every family when it is asked."""

    def collect(self) -> Iterator[Metric]:
        present = set(connection.introspection.table_names())
        with connection.cursor() as cursor:
            for family in FAMILIES:
                if present.issuperset(family.tables):
                    cursor.execute(family.sql)
                    yield family.metric(cursor.fetchall())
        if VERDICT in present:
            yield hallucination()


def hallucination() -> Metric:
    """Claims whose quote the grounding verifier did not find, of all claims it looked at."""
    rate = verification.metrics()["hallucination_rate"]
    metric = GaugeMetricFamily(
        "agentsys_hallucination_ratio", "Share of claims without the evidence they name."
    )
    if rate is not None:
        metric.add_metric([], rate)
    return metric


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not may_scrape(request):
        return HttpResponse(
            "metrics are served to loopback, staff and `Authorization: Token …` of staff\n",
            status=403,
            content_type="text/plain",
        )
    registry = CollectorRegistry()
    registry.register(Collector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_scrape(request: HttpRequest) -> bool:
    """Loopback counts only without a forwarding header: a proxy's requests come from there too."""
    proxied = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    if not proxied and request.META.get("REMOTE_ADDR", "") in LOOPBACK:
        return True
    user = request.user if request.user.is_authenticated else _token_user(request)
    return bool(user and user.is_active and user.is_staff)


def _token_user(request: HttpRequest) -> Any:
    try:
        found = TokenAuthentication().authenticate(Request(request))
    except AuthenticationFailed:
        return None
    return found[0] if found else None
