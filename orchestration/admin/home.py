"""The console's first page: is all well, what waits for you, what is under way."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse

from agentsys.gateway import GatewayError, breakers, roles
from agentsys.gateway.breakers import Breaker
from agentsys.health import readiness
from orchestration.admin.goalpage import shown_state
from orchestration.api.access import is_member, scoped, visible_goals
from orchestration.models import ApprovalRequest, Decision, WorkerSession
from orchestration.show import bar, chip

SHOWN_MAX = 10
SEEN_SECONDS = 30

admin.site.site_header = admin.site.site_title = "agentsys"
admin.site.index_title = "Console"


def home(request: HttpRequest) -> HttpResponse:
    admin.site.index_template = "console/home.html"
    return admin.site.index(request, extra_context=summary(request.user))


def summary(user: Any) -> dict[str, Any]:
    if not is_member(user):
        return {"member": False}
    counted = Count("tasks", filter=~Q(tasks__state="superseded"))
    under_way = (
        visible_goals(user)
        .filter(finished_at__isnull=True)
        .annotate(tasks_all=counted, tasks_done=Count("tasks", filter=Q(tasks__state="done")))
        .order_by("-priority", "-id")[:SHOWN_MAX]
    )
    requests = scoped(ApprovalRequest.objects.filter(state="open"), user, "goal__project")
    decisions = scoped(Decision.objects.all(), user, "request__goal__project")
    problems = {name: problem for name, problem in readiness().items() if problem}
    return {
        "member": True,
        "problems": problems,
        "workers": workers_alive(),
        "providers": providers_left_alone() if user.is_superuser else [],
        "waiting_total": requests.count(),
        "waiting": requests.select_related("goal").order_by("due_at", "id")[:SHOWN_MAX],
        "under_way": [
            {"goal": g, "chip": chip(shown_state(g)), "bar": bar(g.tasks_done, g.tasks_all)}
            for g in under_way
        ],
        "failed": visible_goals(user).filter(state="failed").order_by("-finished_at")[:5],
        "decisions": decisions.select_related("request", "user").order_by("-at")[:5],
        "any_goal": visible_goals(user).exists(),
    }


def providers_left_alone() -> list[Breaker]:
    """Providers of configured models that are not asked for a while, since they were away. Where models
    are is for superusers, as are model profiles."""
    try:
        chains = roles.profiles()
    except GatewayError:
        return []  # a name that cannot be used: `doctor` says which
    sources = sorted({model.source for chain in chains.values() for model in chain})
    return [seen for seen in map(breakers.state_of, sources) if seen.state != "closed"]


def workers_alive() -> int:
    from datetime import timedelta

    from django.db.models.functions import Now

    recent = Now() - timedelta(seconds=SEEN_SECONDS)
    return WorkerSession.objects.filter(ended_at__isnull=True, seen_at__gt=recent).count()
