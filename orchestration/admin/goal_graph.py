"""The tasks of a goal's page: the picture, the table beside it, and how both are narrowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from orchestration.admin.criticalpath import Chain, critical
from orchestration.admin.graph import (
    HEIGHT,
    WIDTH,
    TaskFact,
    grouped,
    layers,
    map_size,
    node,
    nodes,
    picture,
)
from orchestration.admin.paging import link, paged
from orchestration.domain.lives import TASK
from orchestration.models import Dependency, Goal, Task
from orchestration.services.swarm_views import swarm_sentence, swarms_progress
from orchestration.show import duration, sign

ROWS_MAX = 100
FOLDED_FROM = 60  # tasks; what is over is folded from here on
CHAIN_SHOWN_MAX = 12
WAITS_SHOWN_MAX = 3
QUERY_MAX = 100

Edges = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What was asked for of a goal's tasks: all of them, the ones shown, and how."""

    every: Sequence[TaskFact]
    tasks: Sequence[TaskFact]
    edges: Edges
    depth: Mapping[int, int]
    fold: bool


def shown_of(goal: Goal, asked: Mapping[str, str]) -> Shown:
    every, edges = facts(goal), edges_of(goal)
    tasks = [task for task in every if _wanted(task, asked)]
    depth = layers((task.id for task in tasks), edges)
    group = asked.get("group", "")
    if group:
        tasks = grouped(tasks, depth).get(group, [])
        depth = layers((task.id for task in tasks), edges)
    fold = not group and asked.get("fold") != "no" and len(tasks) > FOLDED_FROM
    return Shown(every, tasks, edges, depth, fold)


def facts(goal: Goal) -> list[TaskFact]:
    rows = Task.objects.filter(goal=goal).exclude(state="superseded").order_by("id")
    fields = (
        "id", "key", "agent", "state", "phase", "attempts_count", "started_at", "finished_at", "optional",
    )  # fmt: skip
    return [
        TaskFact(*row[:6], _seconds(*row[6:8]), row[8])  # type: ignore[call-arg]
        for row in rows.values_list(*fields)
    ]


def _seconds(begun: datetime | None, ended: datetime | None) -> float | None:
    return (ended - begun).total_seconds() if begun and ended else None


def edges_of(goal: Goal) -> list[tuple[int, int]]:
    return list(Dependency.objects.filter(task__goal=goal).values_list("task_id", "needs_id"))


def _wanted(task: TaskFact, asked: Mapping[str, str]) -> bool:
    words = asked.get("q", "")[:QUERY_MAX].casefold().split()
    text = f"{task.key} {task.agent} {task.phase}".casefold()
    state = asked.get("state", "")
    return all(word in text for word in words) and (not state or task.state == state)


# --- The tab -------------------------------------------------------------------------------------


def tasks_tab(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    seen = shown_of(goal, asked)
    chain = critical(seen.every, seen.edges)
    drawn = picture(seen.tasks, seen.edges, fold=seen.fold, marked=chain.steps)
    ordered = sorted(seen.tasks, key=lambda task: (seen.depth[task.id], task.id))
    pages = paged(ordered, asked, ROWS_MAX)
    about = Task.objects.in_bulk([task.id for task in pages.rows])
    swarms = swarms_progress([task.id for task in pages.rows if task.agent == "swarm"])
    waits = waits_of(seen)
    narrowed = any(asked.get(name) for name in ("q", "state", "group"))
    return {
        "picture": drawn,
        "drawn": [_drawn(each, asked) for each in drawn.nodes],
        "map": map_size(drawn),
        "chain": _chain(chain, seen.every),
        "on_chain": frozenset(chain.ids),
        "rows": [
            (
                about[task.id],
                seen.depth[task.id],
                _swarm(swarms.get(task.id)),
                waits.get(task.id, ""),
            )
            for task in pages.rows
            if task.id in about
        ],
        "pages": pages,
        "node_width": WIDTH,
        "node_height": HEIGHT,
        "asked": {name: asked.get(name, "")[:QUERY_MAX] for name in ("q", "state", "group")},
        "states": [s for s in sorted(TASK.states) if s != "superseded"],
        "narrowed": narrowed,
        "everything": len(seen.every),
        "folded": seen.fold and drawn.grouped,
        "unfolded": asked.get("fold") == "no",
        "link_unfold": link(asked, fold="no"),
        "link_fold": link(asked, fold=None),
    }


def waits_of(seen: Shown) -> dict[int, str]:
    """Of each blocked task, keys of what it needs and what is not done: `a, b, c +2`."""
    named = {task.id: task for task in seen.every}
    left: dict[int, list[str]] = {}
    for task_id, needs_id in seen.edges:
        task, need = named.get(task_id), named.get(needs_id)
        if task and need and task.state == "blocked" and not _is_settled(need):
            left.setdefault(task_id, []).append(need.key)
    return {task_id: _few(keys) for task_id, keys in left.items()}


def _few(keys: Sequence[str]) -> str:
    more = len(keys) - WAITS_SHOWN_MAX
    return ", ".join(keys[:WAITS_SHOWN_MAX]) + (f" +{more}" if more > 0 else "")


def _is_settled(need: TaskFact) -> bool:
    return need.state == "done" or (need.state == "failed" and need.optional)


def _swarm(seen: dict[str, Any] | None) -> str:
    return swarm_sentence(seen) if seen else ""


def _drawn(each: Any, asked: Mapping[str, str]) -> dict[str, Any]:
    mark, tone = sign(each.state)
    return {
        "node": each,
        "mark": mark,
        "tone": tone,
        "href": task_url(each.task_id)
        if each.task_id
        else f"{link(asked, group=each.name, p=None)}#tasks",
        "text_y": each.y + HEIGHT // 2 + 4,
        "mark_x": each.x + 14,
        "label_x": each.x + 28,
        "badge_x": each.x + WIDTH - 4,
        "badge_y": each.y + 11,
    }


def _chain(chain: Chain, tasks: Sequence[TaskFact]) -> dict[str, Any] | None:
    """The critical path in words."""
    if not chain.ids:
        return None
    named = {task.id: task for task in tasks}
    shown = [named[pk] for pk in chain.ids[:CHAIN_SHOWN_MAX]]
    return {
        "tasks": [(task, task_url(task.id)) for task in shown],
        "more": len(chain.ids) - len(shown),
        "count": len(chain.ids),
        "left": chain.left,
        "work": duration(chain.seconds),
    }


def task_url(task_id: int) -> str:
    return reverse("admin:agentsys_orchestration_task_change", args=[task_id])


# --- Refreshing ----------------------------------------------------------------------------------


def live_nodes(seen: Shown) -> list[dict[str, Any]]:
    """The picture's nodes as they are now."""
    groups = nodes(seen.tasks, seen.depth, fold=seen.fold)
    found = [node(name, members, seen.depth) for name, members in groups.items()]
    waits = waits_of(seen)
    return [
        {
            "name": each.name,
            "head": each.head,
            "states": each.states,
            "again": each.again,
            "alone": each.task_id is not None,
            "state": each.state,
            "mark": sign(each.state)[0],
            "tone": sign(each.state)[1],
            "badge": each.badge,
            "waits": waits.get(each.task_id or 0, ""),
        }
        for each in found
    ]
