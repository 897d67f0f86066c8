"""Workers and queues: who works on what, what waits, which providers are left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agentsys.doorbells import doorbells
from agentsys.gateway import GatewayError, breakers, roles
from agentsys.gateway.breakers import Breaker
from agentsys.gateway.profiles import ModelProfile
from agentsys.gateway.providers import problem_of
from orchestration.api.access import is_member, visible_projects
from orchestration.models.recovery import Outage, Recovery
from orchestration.services import fleet
from orchestration.services.fleet import Waiting, Worker
from orchestration.show import number

STATES = {
    "working": ("▶", "live", _("works")),
    "idle": ("✓", "good", _("idle")),
    "silent": ("!", "bad", _("silent: not heard for a lease; its work is taken back")),
    "lost": ("↯", "bad", _("gone without a word; its work is taken back")),
    "ended": ("⊘", "off", _("ended")),
}
SHOWN_EACH = 20
HELD_BACK = "held back"  # no queue of the broker, and so it has words


def workers_page(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    if not is_member(user):
        raise PermissionDenied(gettext("this needs a role in a project"))
    projects = None if user.is_superuser else visible_projects(user)
    found = fleet.workers(projects)
    waiting = fleet.queues(projects)
    bells = doorbells()
    context = {
        **admin.site.each_context(request),
        "title": gettext("Workers and queues"),
        "workers": [_worker(each, hosts=user.is_superuser) for each in found],
        "alive": sum(each.state in ("working", "idle") for each in found),
        "waiting": [_waiting(each) for each in waiting if each.count],
        "bells": bells,
        "stuck": _stuck(found, waiting),
        "flower": settings.AGENTSYS.flower_url,
        "providers": _providers() if user.is_superuser else None,
        "outages": _outages() if user.is_superuser else [],
        "asked_at": timezone.now(),
    }
    return TemplateResponse(request, "console/workers.html", context)


def _worker(each: Worker, *, hosts: bool) -> dict[str, Any]:
    """Where it runs is for superusers, as is the list of sessions."""
    mark, tone, text = STATES[each.state]
    return {
        "session": each.session,
        "name": str(each.session) if hosts else gettext("worker %(n)s") % {"n": each.session.pk},
        "mark": mark,
        "tone": tone,
        "text": text,
        "attempts": each.attempts[:SHOWN_EACH],
        "shifts": each.shifts[:SHOWN_EACH],
        "more": max(len(each.attempts) - SHOWN_EACH, 0) + max(len(each.shifts) - SHOWN_EACH, 0),
    }


def _waiting(each: Waiting) -> dict[str, Any]:
    oldest = timesince(each.oldest_at, depth=1) if each.oldest_at else ""
    return {
        "queue": gettext("held back") if each.queue == HELD_BACK else each.queue,
        "named": each.queue != HELD_BACK,
        "what": gettext(each.what),
        "count": each.count,
        "oldest": oldest,
    }


def _stuck(found: list[Worker], waiting: list[Waiting]) -> str:
    """What a person on call should know first."""
    due = sum(each.count for each in waiting if each.queue != HELD_BACK)
    alive = any(each.state in ("working", "idle") for each in found)
    if alive or not due:
        return ""
    said = ngettext(
        "%(n)s waits and no worker is alive: start one, `make up`",
        "%(n)s wait and no worker is alive: start one, `make up`",
        due,
    )
    return said % {"n": number(due)}


@dataclass(frozen=True, slots=True)
class Provider:
    role: str
    model: str
    place: str
    limits: str
    state: str
    good: bool


def _providers() -> list[Provider] | str:
    """A line for each model of each role; a sentence where the names cannot be read."""
    try:
        chains = roles.profiles()
    except GatewayError as error:
        return str(error)
    return [
        _provider(role, model, place)
        for role, chain in sorted(chains.items())
        for place, model in enumerate(chain)
    ]


def _provider(role: str, model: ModelProfile, place: int) -> Provider:
    kinds = (
        (gettext("requests a minute"), model.requests_per_minute),
        (gettext("tokens a minute"), model.tokens_per_minute),
        (gettext("calls at once"), model.concurrency),
    )
    limits = ", ".join(f"{number(most)} {name}" for name, most in kinds if most is not None)
    breaker = breakers.state_of(model.source)
    problem = problem_of(model)
    return Provider(
        role=role,
        model=str(model),
        place=gettext("fallback %(n)s") % {"n": place} if place else gettext("first"),
        limits=limits or gettext("none set"),
        state=problem or breaker_told(breaker),
        good=not problem and breaker.state == "closed",
    )


def breaker_told(seen: Breaker) -> str:
    """`Breaker.shown` in the reader's language."""
    if seen.state != "open":
        return gettext(seen.state)
    said = gettext("open: %(n)s outages, tried again in %(seconds)s s")
    return said % {"n": seen.outages, "seconds": f"{seen.seconds_left:.0f}"}


def _outages() -> list[dict[str, Any]]:
    """Providers that tasks wait for, and how many do."""
    rows = list(Outage.objects.order_by("source")[:50])
    named = [row.source for row in rows]
    waiting: dict[str, int] = {}
    for source in Recovery.objects.filter(source__in=named).values_list("source", flat=True)[:5000]:
        waiting[source] = waiting.get(source, 0) + 1
    return [{"row": row, "waiting": waiting.get(row.source, 0)} for row in rows]
