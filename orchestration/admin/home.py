"""The console's first page: is all well, what waits for you, what is under way, how it went lately."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from agentsys.console import HAS_SIDEBAR
from agentsys.gateway import GatewayError, breakers, roles
from agentsys.health import readiness
from agentsys.kernel.errors import AgentsysError
from orchestration.admin.fleet import breaker_told
from orchestration.admin.goal_new import projects_open_to
from orchestration.admin.goalpage import shown_state
from orchestration.admin.inbox import ASKS, age, due
from orchestration.admin.sparklines import drawn
from orchestration.api.access import (
    administered,
    is_member,
    scoped,
    visible_goals,
    visible_projects,
)
from orchestration.models import (
    ApprovalRequest,
    Budget,
    Decision,
    Delivery,
    Goal,
    Project,
    Standstill,
    WorkerSession,
)
from orchestration.services.forecasts import Forecast, forecasts
from orchestration.services.goals import goal_submit
from orchestration.services.reads import goals_asked
from orchestration.services.trends import SPANS, WAYS, failures, trends
from orchestration.show import bar, chip, duration, length, money, number

SHOWN_MAX = 10
SEEN_SECONDS = 30
DEMO = "repo-care"

admin.site.site_header = admin.site.site_title = "agentsys"
admin.site.index_title = "Console"


def home(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return demo_begin(request)
    admin.site.index_template = "console/home.html"
    return admin.site.index(
        request, extra_context={"apps_below": not HAS_SIDEBAR, **summary(request)}
    )


def summary(request: HttpRequest) -> dict[str, Any]:
    user: Any = request.user
    if not is_member(user):
        return {"member": False}
    requests = scoped(ApprovalRequest.objects.filter(state="open"), user, "goal__project")
    decisions = scoped(Decision.objects.all(), user, "request__goal__project")
    problems = {name: problem for name, problem in readiness().items() if problem}
    any_goal = visible_goals(user).exists()
    return {
        "member": True,
        "problems": problems,
        "workers": workers_alive(),
        "providers": providers_left_alone() if user.is_superuser else [],
        "still": standing_still(user),
        "given_up": deliveries_given_up(user),
        **waiting(requests),
        "under_way": under_way(user),
        "failed": visible_goals(user).filter(state="failed").order_by("-finished_at")[:5],
        "decisions": decisions.select_related("request", "user").order_by("-at")[:5],
        "any_goal": any_goal,
        "may_submit": bool(projects_open_to(user)),
        "demo_project": "" if any_goal else demo_project(user),
        **(figures(request) if any_goal else {}),
    }


def waiting(requests: Any) -> dict[str, Any]:
    counts = requests.aggregate(all=Count("pk"), late=Count("pk", filter=Q(due_at__lte=Now())))
    first = requests.select_related("goal").defer("context", "goal__contract")
    rows = list(first.order_by(F("due_at").asc(nulls_last=True), "id")[:SHOWN_MAX])
    now = timezone.now()
    return {
        "waiting_total": counts["all"],
        "waiting_late": counts["late"],
        "waiting": [
            {"row": r, "asks": ASKS.get(r.kind, r.kind), "age": age(r.created_at, now),
             "due": due(r, now), "risk": chip(r.risk)}
            for r in rows
        ],
    }  # fmt: skip


def under_way(user: Any) -> list[dict[str, Any]]:
    """Goals that are not over, the most urgent first, with what is known of their end and spend."""
    rows = visible_goals(user).filter(finished_at__isnull=True).defer("contract")
    goals = list(goals_asked(rows).order_by("-priority", "-id")[:SHOWN_MAX])
    ids = [goal.pk for goal in goals]
    seen = forecasts(ids)
    budgets = {budget.goal_id: budget for budget in Budget.objects.filter(goal__in=ids)}
    return [
        {
            "goal": goal,
            "chip": chip(shown_state(goal, waits=bool(goal.asks) and not goal.moves)),
            "bar": bar(seen[goal.pk].done, seen[goal.pk].total),
            "expected": expected(goal, seen[goal.pk]),
            "spent": spent(budgets.get(goal.pk)),
        }
        for goal in goals
    ]


def expected(goal: Goal, seen: Forecast) -> str:
    """When it may be done, as a range; or why that is not known."""
    if goal.paused_at is not None:
        return gettext("stands still")
    if seen.seconds is None or seen.soonest is None or seen.latest is None:
        left = seen.total - seen.done
        held = left and seen.held == left
        return gettext("waits for people") if held else gettext("learning the pace")
    soonest, latest = length(max(seen.soonest, 1.0)), length(seen.latest)
    if soonest == latest:
        return duration(seen.latest)
    return gettext("about %(soonest)s to %(latest)s") % {"soonest": soonest, "latest": latest}


def spent(budget: Budget | None) -> str:
    if budget is None:
        return ""
    most = budget.cost_usd_max
    facts = {
        "tokens": number(budget.tokens_spent),
        "money": money(float(budget.cost_usd_spent)),
    }
    if most is None:
        return gettext("%(tokens)s tokens, %(money)s") % facts
    return gettext("%(tokens)s tokens, %(money)s of %(most)s") % {
        **facts,
        "most": money(float(most)),
    }


def figures(request: HttpRequest) -> dict[str, Any]:
    """The charts and the failures, for the span and by what the form asks for."""
    user: Any = request.user
    span, by = request.GET.get("span", ""), request.GET.get("by", "")
    span, by = span if span in SPANS else "24h", by if by in WAYS else WAYS[0]
    projects = None if user.is_superuser else visible_projects(user)
    seen = trends(span, by, projects)
    return {
        "span": span,
        "spans": list(SPANS),
        "by": by,
        "ways": WAYS,
        "charts": drawn(seen),
        "failures": failures(span, projects),
    }


def standing_still(user: Any) -> list[str]:
    """What is paused as a whole, a sentence each."""
    found = []
    if (row := Standstill.objects.first()) is not None:
        why = f": {row.reason}" if row.reason else ""
        said = gettext("Everything is paused by %(who)s%(why)s; `goals resume --everything`")
        found.append(said % {"who": row.actor, "why": why})
    paused = scoped(Project.objects.filter(paused_at__isnull=False), user, "pk")
    for project in paused.order_by("name")[:5]:
        why = f": {project.paused_reason}" if project.paused_reason else ""
        said = (
            gettext("Project %(name)s is paused by %(who)s")
            if project.paused_actor
            else gettext("Project %(name)s is paused")
        )
        found.append(said % {"name": project.name, "who": project.paused_actor} + why)
    return found


def deliveries_given_up(user: Any) -> int:
    """Notifications of the last day that nobody took."""
    since = Now() - timedelta(days=1)
    rows = Delivery.objects.filter(state="given_up", finished_at__gt=since)
    return administered(rows, user, "goal__project").count()


def providers_left_alone() -> list[tuple[str, str]]:
    """Providers of configured models that are not asked for a while, since they were away, and the state
    of each. Where models are is for superusers, as are model profiles."""
    try:
        chains = roles.profiles()
    except GatewayError:
        return []  # a name that cannot be used: `doctor` says which
    sources = sorted({model.source for chain in chains.values() for model in chain})
    states = map(breakers.state_of, sources)
    return [(seen.source, breaker_told(seen)) for seen in states if seen.state != "closed"]


def workers_alive() -> int:
    recent = Now() - timedelta(seconds=SEEN_SECONDS)
    return WorkerSession.objects.filter(ended_at__isnull=True, seen_at__gt=recent).count()


# --- The first goal ------------------------------------------------------------------------------


def demo_project(user: Any) -> str:
    """The project that this person may start the demo in: the default one before others. "" for none."""
    return next(iter(projects_open_to(user)), "")


def demo_begin(request: HttpRequest) -> HttpResponse:
    """Hand in the demo goal, as `demo` does; once: pressed twice, it leads to the same goal."""
    project = demo_project(request.user) if is_member(request.user) else ""
    if not project:
        raise PermissionDenied(gettext("this needs the role operator or admin in a project"))
    try:
        goal = goal_submit(
            objective="",
            project=project,
            playbook=DEMO,
            params={"repo": str(settings.BASE_DIR)},
            actor=request.user.get_username(),
            idempotency_key="console-demo",
        )
    except AgentsysError as error:
        messages.error(request, gettext("The demo cannot begin: %(why)s") % {"why": error})
        return HttpResponseRedirect(reverse("admin:index"))
    said = gettext("%(goal)s is handed in: it takes care of %(folder)s")
    messages.success(request, said % {"goal": goal, "folder": settings.BASE_DIR})
    return HttpResponseRedirect(reverse("admin:agentsys_orchestration_goal_change", args=[goal.pk]))
