"""One deed done to several goals: what would follow for each first, then a result for each.

The actions of the list lead here. It is the deed of a goal's own page (`goal_deeds`), with the same
sentences, fields and preview; every goal is changed by itself. What makes no sense for a goal, or is
not the visitor's to do, leaves it as it is and is said beforehand. No password is
asked for: stopping something is never held up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentsys.kernel.errors import AgentsysError, BadInput
from agentsys.kernel.hashing import digest
from orchestration.admin.base import signed_in
from orchestration.admin.deeds import Deed, kept
from orchestration.admin.goal_deeds import GOAL_DEEDS
from orchestration.admin.goal_facts import facts_read
from orchestration.admin.goalpage import deeds, shown_state
from orchestration.admin.several import DONE, PICKED_MAX, REFUSED, Result, results_page
from orchestration.api.access import Act, may
from orchestration.models import Goal

TITLES = {
    "pause": _("Pause the goals"),
    "resume": _("Resume the goals"),
    "retry": _("Retry what failed"),
    "priority": _("Change the priority"),
    "cancel": _("Cancel the goals"),
}


@dataclass(slots=True)
class Picked:
    """A goal that was chosen. `left` says why it is left as it is, "" where it is not; `values` are what
    was typed, as the deed takes it."""

    goal: Goal
    left: str
    follows: Sequence[str] = ()
    told: Sequence[str] = ()  # of what was typed
    values: Mapping[str, Any] = field(default_factory=dict)


def action(name: str) -> Callable[..., HttpResponse]:
    """For a list of goals, whose admin has `several_view(request, name, rows)`."""

    @admin.action(description=format_lazy("{}…", TITLES[name]), permissions=["control"])
    def chosen(of: Any, request: HttpRequest, rows: QuerySet[Goal]) -> HttpResponse:
        return of.several_view(request, name, rows)  # type: ignore[no-any-return]

    chosen.__name__ = name
    return chosen


def several_page(
    request: HttpRequest,
    name: str,
    rows: QuerySet[Goal],
    context: Mapping[str, Any],
    log: Callable[[Goal, str], object],
) -> HttpResponse:
    """From the list: what would follow. From itself (`shown`): what was typed would do, where that
    matters, and then the results. `log` keeps a change in the goal's history."""
    deed, user = GOAL_DEEDS[name], signed_in(request)
    goals = list(rows[:PICKED_MAX])
    if not goals:
        messages.warning(request, gettext("None of the chosen goals is there for you."))
        return HttpResponseRedirect(reverse("admin:agentsys_orchestration_goal_changelist"))
    facts_read(goals)
    picked = [Picked(goal, _left(user, name, goal)) for goal in goals]
    possible = any(not each.left for each in picked)
    seal = ""
    if "shown" in request.POST:
        seal = _told(deed, picked, request.POST.dict(), user)
        if request.POST.get("seal", "") == seal and any(not each.left for each in picked):
            results = [_result(deed, each, user, log) for each in picked]
            return results_page(request, results, _summary(results), _titled(context, name))
    shown = {
        **_titled(context, name),
        **_asking(request, deed, picked),
        "seal": seal,
        "sure": bool(seal) or deed.preview is None,
        "possible": possible,
        "left_out": rows.count() - PICKED_MAX,
    }
    return TemplateResponse(request, "console/goals_several.html", shown)


def _asking(request: HttpRequest, deed: Deed, picked: Sequence[Picked]) -> dict[str, Any]:
    """What follows for each, and the deed's fields with what was typed: what they hold now differs from
    goal to goal."""
    for each in picked:
        each.follows = () if each.left else deed.follows(each.goal)
    fields = deed.fields(picked[0].goal)
    return {
        "deed": deed,
        "picked": picked,
        "fields": [replace(one, value=request.POST.get(one.name, "")) for one in fields],
    }


def _titled(context: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**context, "title": TITLES[name], "action": name}


def _left(user: User, name: str, goal: Goal) -> str:
    if not may(user, Act.CONTROL, goal.project_id):
        return gettext("you may not steer this project's goals")
    if name == "resume" and goal.paused_at is not None and goal.finished_at is None:
        return ""  # what holds it still is said with what follows, and by the service
    if name not in deeds(goal):
        state = gettext(shown_state(goal, waits=False).replace("_", " "))
        return gettext("it is %(state)s") % {"state": state}
    return ""


def _told(deed: Deed, picked: Sequence[Picked], posted: Mapping[str, str], user: User) -> str:
    """Reads what was typed for each, says what it would do, and gives the seal of that; "" where it is
    no matter of what is typed."""
    for each in picked:
        if each.left:
            continue
        try:
            each.values = deed.parse(each.goal, dict(posted))
            each.told = deed.preview(each.goal, each.values, user) if deed.preview else ()
        except AgentsysError as error:
            each.left = "; ".join(error.problems) if isinstance(error, BadInput) else str(error)
    doing = [(each.goal.pk, each.values) for each in picked if not each.left]
    return digest([deed.name, doing]) if deed.preview and doing else ""


def _result(deed: Deed, each: Picked, user: User, log: Callable[[Goal, str], object]) -> Result:
    goal, name = each.goal, str(each.goal)
    if each.left:
        return Result(name, goal, REFUSED, each.left)
    try:
        done = deed.do(goal, each.values, user)
    except AgentsysError as error:
        return Result(name, goal, REFUSED, str(error))
    log(goal, kept(deed))
    return Result(name, goal, DONE, done.said)


def _summary(results: Sequence[Result]) -> str:
    done = sum(result.outcome == DONE for result in results)
    facts = {"done": done, "left": len(results) - done}
    return gettext("%(done)s done, %(left)s left as they are.") % facts
