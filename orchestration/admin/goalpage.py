"""What a goal's page shows, tab by tab, and the small document it refreshes itself from."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Count
from django.urls import reverse

from memory import services as memory
from orchestration.admin.graph import HEIGHT, WIDTH, TaskFact, layers, node, nodes, picture
from orchestration.models import (
    ApprovalRequest,
    Artifact,
    Budget,
    Decision,
    Dependency,
    Directive,
    Goal,
    LedgerEntry,
    Proposal,
    Task,
)
from orchestration.services.claims import claims_view, rate_sentence
from orchestration.services.progress import progress_of
from orchestration.services.swarm_views import swarm_sentence, swarms_progress
from orchestration.services.why import why
from orchestration.show import duration, sign

TABS = ("tasks", "claims", "board", "ledger", "proposals", "artifacts", "decisions")
ROWS_MAX = 500


def shown_state(goal: Goal) -> str:
    """The state as a person reads it: a pause is a flag, but it is what matters."""
    return "paused" if goal.paused_at and goal.finished_at is None else goal.state


def page(goal: Goal, tab: str) -> dict[str, Any]:
    tab = tab if tab in TABS else TABS[0]
    own = {"goal": goal, "tab": tab, "tabs": TABS, "tab_template": f"console/tab_{tab}.html"}
    return {**header(goal), **own, **CONTENTS[tab](goal)}


def header(goal: Goal) -> dict[str, Any]:
    counts = Counter(
        dict(
            Task.objects.filter(goal=goal)
            .exclude(state="superseded")
            .values_list("state")
            .annotate(n=Count("id"))
        )
    )
    return {
        "shown_state": shown_state(goal),
        "done": counts["done"],
        "total": sum(counts.values()),
        "counts": [(state, counts[state]) for state in _ORDER if counts[state]],
        "budget": Budget.objects.filter(goal=goal).first(),
        "waiting": list(
            ApprovalRequest.objects.filter(goal=goal, state="open").order_by("id")[:20]
        ),
        "directives": list(Directive.objects.filter(goal=goal).order_by("id")),
        "why": sentence(goal),
        "eta": expected(goal),
        "buttons": buttons(goal),
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
    return "learning the pace" if seconds is None else duration(seconds)


def buttons(goal: Goal) -> list[str]:
    """Which of the verbs make sense now; the service has the last word."""
    if goal.finished_at is not None:
        return ["retry"] if goal.state == "failed" else []
    return ["resume" if goal.paused_at else "pause", "cancel"]


# --- Tabs ----------------------------------------------------------------------------------------


def facts(goal: Goal) -> list[TaskFact]:
    rows = Task.objects.filter(goal=goal).exclude(state="superseded").order_by("id")
    fields = ("id", "key", "agent", "state", "phase")
    return [TaskFact(*row) for row in rows.values_list(*fields)]


def edges(goal: Goal) -> list[tuple[int, int]]:
    return list(Dependency.objects.filter(task__goal=goal).values_list("task_id", "needs_id"))


def tasks_tab(goal: Goal) -> dict[str, Any]:
    tasks, links = facts(goal), edges(goal)
    drawn = picture(tasks, links)
    depth = layers((task.id for task in tasks), links)
    ordered = sorted(tasks, key=lambda task: (depth[task.id], task.id))[:ROWS_MAX]
    about = Task.objects.in_bulk([task.id for task in ordered])
    swarms = swarms_progress([task.id for task in ordered if task.agent == "swarm"])
    return {
        "picture": drawn,
        "drawn": [_drawn(each) for each in drawn.nodes],
        "rows": [
            (about[task.id], depth[task.id], _swarm(swarms.get(task.id)))
            for task in ordered
            if task.id in about
        ],
        "rows_left_out": len(tasks) - len(ordered),
        "node_width": WIDTH,
        "node_height": HEIGHT,
    }


def _swarm(seen: dict[str, Any] | None) -> str:
    return swarm_sentence(seen) if seen else ""


def _drawn(each: Any) -> dict[str, Any]:
    mark, tone = sign(each.state)
    return {
        "node": each,
        "mark": mark,
        "tone": tone,
        "href": _task_url(each.task_id) if each.task_id else "#tasks",
        "text_y": each.y + HEIGHT // 2 + 4,
        "mark_x": each.x + 14,
        "label_x": each.x + 28,
    }


def _task_url(task_id: int) -> str:
    return reverse("admin:agentsys_orchestration_task_change", args=[task_id])


def claims_tab(goal: Goal) -> dict[str, Any]:
    view = claims_view(goal.pk)
    return {"claimed": view, "rate": rate_sentence(view)}


def board_tab(goal: Goal) -> dict[str, Any]:
    return {"notes": memory.blackboard_get(goal.pk)}


def ledger_tab(goal: Goal) -> dict[str, Any]:
    entries = LedgerEntry.objects.filter(goal=goal).order_by("-seq")[:ROWS_MAX]
    return {"entries": list(entries), "entries_max": ROWS_MAX}


def proposals_tab(goal: Goal) -> dict[str, Any]:
    rows = Proposal.objects.filter(goal=goal).select_related("task").order_by("-id")[:ROWS_MAX]
    return {"proposals": list(rows)}


def artifacts_tab(goal: Goal) -> dict[str, Any]:
    rows = (
        Artifact.objects.filter(goal=goal)
        .select_related("attempt__task")
        .order_by("-attempt_id", "name")
    )
    return {"artifacts": list(rows[:ROWS_MAX])}


def decisions_tab(goal: Goal) -> dict[str, Any]:
    rows = Decision.objects.filter(request__goal=goal).select_related("request", "user")
    return {"decisions": list(rows.order_by("-at")[:ROWS_MAX])}


CONTENTS = {
    "tasks": tasks_tab,
    "claims": claims_tab,
    "board": board_tab,
    "ledger": ledger_tab,
    "proposals": proposals_tab,
    "artifacts": artifacts_tab,
    "decisions": decisions_tab,
}


# --- Refreshing ----------------------------------------------------------------------------------


def live(goal: Goal) -> dict[str, Any]:
    """States as they are now, for a page that stands open: the script patches them in."""
    tasks = facts(goal)
    depth = layers((task.id for task in tasks), edges(goal))
    states = [node(name, members, depth) for name, members in nodes(tasks, depth).items()]
    done = sum(task.state == "done" for task in tasks)
    mark, tone = sign(shown_state(goal))
    return {
        "state": shown_state(goal),
        "mark": mark,
        "tone": tone,
        "done": done,
        "total": len(tasks),
        "over": goal.finished_at is not None,
        "why": sentence(goal),
        "waiting": ApprovalRequest.objects.filter(goal=goal, state="open").count(),
        "nodes": [
            {
                "name": each.name,
                "title": each.title,
                "state": each.state,
                "mark": sign(each.state)[0],
                "tone": sign(each.state)[1],
            }
            for each in states
        ],
    }
