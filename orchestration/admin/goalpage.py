"""What a goal's page shows, tab by tab, and the small document it refreshes itself from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils.translation import gettext

from memory import services as memory
from orchestration.admin.goal_cost import cost_tab
from orchestration.admin.goal_deeds import GOAL_DEEDS
from orchestration.admin.goal_graph import live_nodes, shown_of, tasks_tab
from orchestration.admin.goal_log import ledger_tab, log_tab
from orchestration.admin.goal_memory import memory_tab
from orchestration.admin.goal_plans import plan_tab
from orchestration.admin.goal_timeline import grid_tab, timeline_tab
from orchestration.admin.paging import link
from orchestration.domain.telling import state_read
from orchestration.models import (
    ApprovalRequest,
    Artifact,
    Budget,
    Decision,
    Directive,
    Goal,
    Proposal,
    Task,
)
from orchestration.services.claims import claims_view, rate_sentence
from orchestration.services.progress import progress_of
from orchestration.services.standstill import EVERYTHING
from orchestration.services.why import why, why_in
from orchestration.show import SIGNS, duration, sign

ROWS_MAX = 500
SHOWN_MAX = 20  # open questions, and directives

Tab = Callable[[Goal, Mapping[str, str]], dict[str, Any]]


MOVING = ("ready", "running", "verifying")  # states of tasks that go on without a person


def shown_state(goal: Goal, *, waits: bool) -> str:
    over, paused = goal.finished_at is not None, goal.paused_at is not None
    return state_read(goal.state, over=over, paused=paused, waits=waits)


def page(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    """The context of the tab that `asked`, the query of the request, names; the first by default."""
    tab = asked.get("tab", "") if asked.get("tab") in CONTENTS else next(iter(CONTENTS))
    own = {
        "goal": goal,
        "tab": tab,
        "tabs": [(name, TITLES.get(name, name.capitalize())) for name in CONTENTS],
        "tab_template": f"console/tab_{tab}.html",
        "saved": SAVED.get(tab, ""),
        "forms": {"csv": "CSV", "jsonl": gettext("JSON lines")},
        "query": link(asked),
        "refreshes": tab in REFRESHED,
        "words": words(),
        "as_usual": not any(asked.get(name) for name in ("q", "state", "group", "fold")),
    }
    return {**header(goal), **own, **CONTENTS[tab](goal, asked)}


def words() -> dict[str, str]:
    """For the script, which patches what the page says: a state by its name, and parts of sentences."""
    states = {state: gettext(state.replace("_", " ")) for state in SIGNS}
    return {
        **states,
        "waits": gettext("waits for %(keys)s"),
        "attempts": gettext("%(n)s attempts"),
        "again": gettext("%(n)s tried more than once"),
    }


def header(goal: Goal) -> dict[str, Any]:
    counts = Counter(
        dict(
            Task.objects.filter(goal=goal)
            .exclude(state="superseded")
            .values_list("state")
            .annotate(n=Count("id"))
        )
    )
    asks = ApprovalRequest.objects.filter(goal=goal, state="open").order_by("id")
    waiting = list(asks[:SHOWN_MAX])
    waits = bool(waiting) and not any(counts[state] for state in MOVING)
    return {
        "shown_state": shown_state(goal, waits=waits),
        "done": counts["done"],
        "total": sum(counts.values()),
        "counts": [(state, counts[state]) for state in _ORDER if counts[state]],
        "budget": Budget.objects.filter(goal=goal).first(),
        "waiting": waiting,
        "directives": list(Directive.objects.filter(goal=goal).order_by("-id")[:SHOWN_MAX]),
        "shown_max": SHOWN_MAX,
        "why": sentence(goal),
        "eta": expected(goal),
        "deeds": [GOAL_DEEDS[name] for name in deeds(goal)],
    }


_ORDER = (
    "running", "verifying", "held", "ready", "blocked", "done", "failed", "cancelled",
)  # fmt: skip


def sentence(goal: Goal) -> str:
    return str(why(f"goal-{goal.pk}").sentence)


def expected(goal: Goal) -> str:
    """When it may be done, once there is a pace to tell it from."""
    if goal.finished_at is not None:
        return ""
    seconds = progress_of(goal.pk).eta_seconds
    return gettext("learning the pace") if seconds is None else duration(seconds)


def deeds(goal: Goal) -> list[str]:
    """Which of what can be done makes sense now; the service has the last word."""
    if goal.finished_at is None:
        return [
            *_pause(goal),
            "direct",
            "budget",
            "priority",
            "concurrency",
            "model",
            "fork",
            "cancel",
        ]
    return ["retry", "budget", "fork"] if goal.state == "failed" else ["fork"]


def _pause(goal: Goal) -> list[str]:
    """Used-up seconds, a project or everything hold it still until they themselves are lifted."""
    if goal.paused_at is None:
        return ["pause"]
    return [] if goal.paused_by in ("budget", "project", EVERYTHING) else ["resume"]


# --- Tabs ----------------------------------------------------------------------------------------


def claims_tab(goal: Goal, _asked: Mapping[str, str]) -> dict[str, Any]:
    view = claims_view(goal.pk)
    return {"claimed": view, "rate": rate_sentence(view)}


def board_tab(goal: Goal, _asked: Mapping[str, str]) -> dict[str, Any]:
    return {"notes": memory.blackboard_get(goal.pk)}


def proposals_tab(goal: Goal, _asked: Mapping[str, str]) -> dict[str, Any]:
    rows = Proposal.objects.filter(goal=goal).select_related("task").order_by("-id")[:ROWS_MAX]
    return {"proposals": list(rows)}


def artifacts_tab(goal: Goal, _asked: Mapping[str, str]) -> dict[str, Any]:
    rows = (
        Artifact.objects.filter(goal=goal)
        .select_related("attempt__task")
        .order_by("-attempt_id", "name")
    )
    return {"artifacts": list(rows[:ROWS_MAX])}


def decisions_tab(goal: Goal, _asked: Mapping[str, str]) -> dict[str, Any]:
    rows = Decision.objects.filter(request__goal=goal).select_related("request", "user")
    return {"decisions": list(rows.order_by("-at")[:ROWS_MAX])}


CONTENTS: dict[str, Tab] = {
    "tasks": tasks_tab,
    "timeline": timeline_tab,
    "grid": grid_tab,
    "log": log_tab,
    "ledger": ledger_tab,
    "cost": cost_tab,
    "plan": plan_tab,
    "claims": claims_tab,
    "board": board_tab,
    "memory": memory_tab,
    "proposals": proposals_tab,
    "artifacts": artifacts_tab,
    "decisions": decisions_tab,
}
# Tabs whose rows have a list, which saves them as a file.
SAVED = {
    name: f"admin:agentsys_orchestration_{model}_changelist"
    for name, model in (
        ("tasks", "task"), ("grid", "attempt"), ("log", "ledgerentry"), ("ledger", "ledgerentry"),
        ("proposals", "proposal"), ("artifacts", "artifact"),
    )
}  # fmt: skip
TITLES = {"plan": "Contract and plan"}
# What is read anew while the page stands open; the tasks are patched, and read anew where they changed.
REFRESHED = ("timeline", "grid", "cost")


# --- Refreshing ----------------------------------------------------------------------------------


def live(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    """States as they are now, for a page that stands open: the script patches them in. Drawn once for all
    who look, it is of no language: the sentence is there in each."""
    seen = shown_of(goal, asked)
    asks = ApprovalRequest.objects.filter(goal=goal, state="open").count()
    waits = bool(asks) and not any(task.state in MOVING for task in seen.every)
    state = shown_state(goal, waits=waits)
    mark, tone = sign(state)
    return {
        "state": state,
        "mark": mark,
        "tone": tone,
        "done": sum(task.state == "done" for task in seen.every),
        "total": len(seen.every),
        "over": goal.finished_at is not None,
        "why": why_in(f"goal-{goal.pk}", dict(settings.LANGUAGES)),
        "waiting": asks,
        "nodes": live_nodes(seen),
    }
