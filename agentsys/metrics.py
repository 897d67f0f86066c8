"""`/metrics`: what the rows say at the moment of the scrape, in Prometheus' text format.

Nothing is counted in process memory: workers come and go, and web processes are many. Each family
is one statement, so a scrape costs a fixed number of them, whatever is stored. Rates and quantiles
look back one hour; totals are totals.

Served to loopback (not through a proxy), to signed-in staff, and to a superuser's or staff
member's API token: model names, queue depths and spend are nobody else's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from knox.auth import TokenAuthentication
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

LOOPBACK = ("127.0.0.1", "::1", "")
STALE_SECONDS = 30  # a worker not seen for so long is not counted as alive


@dataclass(frozen=True, slots=True)
class Family:
    """A metric, the labels, and the statement whose rows are (label, …, value).

    `tables` must exist for the statement to be asked: an app may not be migrated yet.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    sql: str
    counter: bool = False
    tables: tuple[str, ...] = ()

    def metric(self, rows: Sequence[Sequence[Any]]) -> Metric:
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        metric = kind(f"agentsys_{self.name}", self.text, labels=self.labels)
        for *labels, value in rows:
            if value is not None:
                metric.add_metric([str(label) for label in labels], float(value))
        return metric


RECENT = "finished_at > now() - interval '1 hour'"
TASK, ATTEMPT = "agentsys_orchestration_task", "agentsys_orchestration_attempt"
GOAL, APPROVAL = "agentsys_orchestration_goal", "agentsys_orchestration_approvalrequest"
VERDICT, CALL = "agentsys_verification_verdict", "agentsys_workers_modelcall"
WORKER = "agentsys_orchestration_workersession"

FAMILIES = (
    Family("goals", "Goals by state.", ("state",), f"SELECT state, count(*) FROM {GOAL} GROUP BY 1"),
    Family(
        "tasks_unfinished",
        "Tasks that are not over, by state.",
        ("state",),
        f"SELECT state, count(*) FROM {TASK}"
        " WHERE state NOT IN ('done', 'failed', 'cancelled', 'superseded') GROUP BY 1",
    ),
    Family(
        "queue_depth",
        "Work that nobody has claimed, by queue and lane.",
        ("queue", "lane"),
        f"SELECT 'agents', lane, count(*) FROM {ATTEMPT} WHERE state = 'queued' GROUP BY 2"
        f" UNION ALL SELECT 'verify', '', count(*) FROM {VERDICT} WHERE state = 'queued'"
        f" UNION ALL SELECT 'control', '', count(*) FROM {GOAL} WHERE state = 'planning'",
        tables=(VERDICT,),
    ),
    Family(
        "queue_oldest_seconds",
        "Age of the oldest work that nobody has claimed.",
        ("queue", "lane"),
        "SELECT 'agents', lane, extract(epoch FROM now() - min(created_at))"
        f" FROM {ATTEMPT} WHERE state = 'queued' GROUP BY 2 UNION ALL"
        " SELECT 'verify', '', extract(epoch FROM now() - min(created_at))"
        f" FROM {VERDICT} WHERE state = 'queued' UNION ALL"
        " SELECT 'control', '', extract(epoch FROM now() - min(created_at))"
        f" FROM {GOAL} WHERE state = 'planning'",
        tables=(VERDICT,),
    ),
    Family(
        "attempts",
        "Attempts that are over, by agent and how they ended.",
        ("agent", "state"),
        f"SELECT t.agent, a.state, count(*) FROM {ATTEMPT} a JOIN {TASK} t ON t.id = a.task_id"
        " WHERE a.finished_at IS NOT NULL GROUP BY 1, 2",
        counter=True,
    ),
    Family(
        "attempt_latency_seconds",
        "Time from claim to report in the last hour, by agent and quantile.",
        ("agent", "quantile"),
        "SELECT agent, q, percentile_cont(q) WITHIN GROUP (ORDER BY seconds) FROM ("
        " SELECT t.agent, extract(epoch FROM coalesce(a.reported_at, a.finished_at) - a.started_at)"
        f" AS seconds FROM {ATTEMPT} a JOIN {TASK} t ON t.id = a.task_id"
        f" WHERE a.started_at IS NOT NULL AND a.{RECENT}) recent,"
        " unnest(ARRAY[0.5, 0.9, 0.99]::float8[]) q GROUP BY agent, q",
    ),
    Family(
        "error_ratio",
        "Share of the attempts of the last hour that failed or were lost, by agent.",
        ("agent",),
        "SELECT t.agent, avg((a.state IN ('failed', 'lost'))::int)"
        f" FROM {ATTEMPT} a JOIN {TASK} t ON t.id = a.task_id"
        f" WHERE a.{RECENT} AND a.state <> 'cancelled' GROUP BY 1",
    ),
    Family(
        "accepted_first_try_ratio",
        "Completion quality: share of the tasks done in the last hour at their first attempt.",
        (),
        f"SELECT avg((a.number = 1)::int) FROM {TASK} t"
        f" JOIN {ATTEMPT} a ON a.id = t.accepted_attempt_id WHERE t.state = 'done' AND t.{RECENT}",
    ),
    Family(
        "verdict_score_mean",
        "Completion quality: mean score of the verdicts of the last hour, by verifier.",
        ("verifier",),
        f"SELECT verifier, avg(score) FROM {VERDICT} WHERE {RECENT} AND score IS NOT NULL GROUP BY 1",
        tables=(VERDICT,),
    ),
    Family(
        "verdicts",
        "Verdicts by verifier and outcome.",
        ("verifier", "outcome"),
        f"SELECT verifier, outcome, count(*) FROM {VERDICT} WHERE state = 'done' GROUP BY 1, 2",
        counter=True,
        tables=(VERDICT,),
    ),
    Family(
        "approvals_open",
        "Approval requests that wait for a person, by kind.",
        ("kind",),
        f"SELECT kind, count(*) FROM {APPROVAL} WHERE state = 'open' GROUP BY 1",
    ),
    Family(
        "workers_alive",
        f"Worker processes seen in the last {STALE_SECONDS} seconds.",
        (),
        f"SELECT count(*) FROM {WORKER} WHERE ended_at IS NULL"
        f" AND seen_at > now() - interval '{STALE_SECONDS} seconds'",
    ),
    Family(
        "attempt_tokens",
        "Tokens used by attempts, by agent.",
        ("agent",),
        f"SELECT t.agent, sum(a.tokens) FROM {ATTEMPT} a JOIN {TASK} t ON t.id = a.task_id GROUP BY 1",
        counter=True,
    ),
    Family(
        "spend_usd",
        "Money booked by attempts, by agent.",
        ("agent",),
        f"SELECT t.agent, sum(a.cost_usd) FROM {ATTEMPT} a JOIN {TASK} t ON t.id = a.task_id"
        " GROUP BY 1",
        counter=True,
    ),
)


class Collector:
    """Reads every family when it is asked."""

    def collect(self) -> Iterator[Metric]:
        present = set(connection.introspection.table_names())
        with connection.cursor() as cursor:
            for family in FAMILIES:
                if present.issuperset(family.tables):
                    cursor.execute(family.sql)
                    yield family.metric(cursor.fetchall())


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
    """A proxy's requests come from loopback too: those that carry a forwarding header do not count."""
    proxied = "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META
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
