"""The goal's timeline and grid: the rows behind the two pictures of its attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestration.admin.gantt import DAY, HOUR, Line, Try, chart, clock, parts, seconds
from orchestration.admin.paging import paged
from orchestration.models import ApprovalRequest, Attempt, Goal, LedgerEntry, Task
from orchestration.show import sign

ROWS_MAX = 50
LANES_MAX = 6  # attempts of a task that are drawn, the latest
WINDOWS = {
    "": _("all of it"),
    "1h": _("the last hour"),
    "6h": _("the last 6 hours"),
    "1d": _("the last day"),
}
SECONDS = {"1h": HOUR, "6h": 6 * HOUR, "1d": DAY}
PAUSES_MAX = 1000

GRID_ROWS_MAX, GRID_COLUMNS_MAX = 100, 12
ONLY = {
    "": _("all tasks"),
    "retried": _("tried more than once"),
    "failed": _("failed"),
    "open": _("not over"),
}


# --- Timeline ------------------------------------------------------------------------------------


def timeline_tab(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    now = timezone.now().timestamp()
    window = asked.get("window", "") if asked.get("window") in SECONDS else ""
    first, last = _reach(goal, now, window)
    tasks = Task.objects.filter(goal=goal, attempts_count__gt=0).exclude(state="superseded")
    if window:
        begins = datetime.fromtimestamp(first, UTC)
        tasks = tasks.filter(Q(finished_at__isnull=True) | Q(finished_at__gte=begins))
    order = (F("started_at").asc(nulls_last=True), "id")
    pages = paged(
        tasks.only("id", "key", "state", "attempts_count").order_by(*order), asked, ROWS_MAX
    )
    lines = _lines(goal, pages.rows)
    if not window and lines:
        first = min(first, *(one.queued for line in lines for one in line.tries))
    drawn = chart(lines, first=first, last=last, now=now, pauses=_pauses(goal))
    return {
        "chart": drawn,
        "bars": [_bar(each) for each in drawn.bars] if drawn else [],
        "rows": [(row, *sign(row.state)) for row in drawn.rows] if drawn else [],
        "pages": pages,
        "spells": [_spell(line, one, now) for line in lines for one in line.tries],
        "windows": [(name, text, name == window) for name, text in WINDOWS.items()],
        "not_begun": Task.objects.filter(goal=goal, attempts_count=0)
        .exclude(state="superseded")
        .count(),
    }


def _reach(goal: Goal, now: float, window: str) -> tuple[float, float]:
    """From when to when the picture goes."""
    last = goal.finished_at.timestamp() if goal.finished_at else now
    if window:
        return last - SECONDS[window], last
    return (goal.started_at or goal.created_at).timestamp(), last


def _lines(goal: Goal, tasks: Sequence[Task]) -> list[Line]:
    ids = [task.pk for task in tasks]
    tries, delays, asked = _tries(ids), _delays(goal, ids), _asked(ids)
    return [
        Line(
            task_id=task.pk,
            key=task.key,
            state=task.state,
            tries=tuple(_try(row, delays.get(task.pk, ())) for row in tries[task.pk]),
            held=tuple(asked[task.pk]),
            left_out=max(task.attempts_count - LANES_MAX, 0),
        )
        for task in tasks
        if tries[task.pk]
    ]


def _tries(task_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = defaultdict(list)
    rows = Attempt.objects.filter(
        task_id__in=task_ids, number__gt=F("task__attempts_count") - LANES_MAX
    ).order_by("task_id", "number")
    fields = (
        "task_id",
        "number",
        "state",
        "created_at",
        "started_at",
        "reported_at",
        "finished_at",
    )
    for row in rows.only(*fields):
        found[row.task_id].append(row)
    return found


def _delays(goal: Goal, task_ids: Sequence[int]) -> dict[int, list[tuple[float, float]]]:
    """By task: when it was put off, and for how long; the ledger says it when that is decided."""
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    rows = LedgerEntry.objects.filter(
        goal=goal, task_id__in=task_ids, event__in=("task.retried", "task.lost", "task.resumed")
    )
    for task_id, at, payload in rows.order_by("seq").values_list("task_id", "at", "payload"):
        assert task_id is not None
        if delay := float(payload.get("delay_seconds") or 0):
            found[task_id].append((at.timestamp(), delay))
    return found


def _asked(task_ids: Sequence[int]) -> dict[int, list[tuple[float, float | None]]]:
    found: dict[int, list[tuple[float, float | None]]] = defaultdict(list)
    rows = ApprovalRequest.objects.filter(task_id__in=task_ids).order_by("created_at")
    for task_id, start, end in rows.values_list("task_id", "created_at", "decided_at"):
        found[task_id].append((start.timestamp(), end.timestamp() if end else None))
    return found


def _try(row: Attempt, delays: Iterable[tuple[float, float]]) -> Try:
    queued = row.created_at.timestamp()
    meant = [delay for at, delay in delays if abs(at - queued) < 1]
    return Try(
        id=row.pk,
        number=row.number,
        state=row.state,
        queued=queued,
        started=_at(row.started_at),
        reported=_at(row.reported_at),
        finished=_at(row.finished_at),
        backoff=max(meant, default=0.0),
    )


def _at(when: Any) -> float | None:
    return float(when.timestamp()) if when is not None else None


def _pauses(goal: Goal) -> list[tuple[float, float | None]]:
    """When the goal stood still; the last pause may have no end."""
    found: list[tuple[float, float | None]] = []
    since: float | None = None
    rows = LedgerEntry.objects.filter(goal=goal, event__in=("goal.paused", "goal.resumed"))
    for event, at in rows.order_by("seq").values_list("event", "at")[:PAUSES_MAX]:
        if event == "goal.paused":
            since = at.timestamp() if since is None else since
        elif since is not None:
            found.append((since, at.timestamp()))
            since = None
    if since is not None:
        found.append((since, _at(goal.finished_at)))
    return found


def _bar(bar: Any) -> dict[str, Any]:
    mark, tone = sign(bar.state)
    return {"bar": bar, "mark": mark, "tone": tone, "mark_x": round(bar.x + bar.width + 3, 1)}


def _spell(line: Line, one: Try, now: float) -> dict[str, Any]:
    """A row of the table that says what the picture shows."""
    spent = {part.kind: seconds(part.seconds) for part in parts(one, now)}
    newest = one is line.tries[-1]
    held = sum((now if end is None else end) - start for start, end in line.held) if newest else 0
    return {
        "line": line,
        "one": one,
        "from": clock(one.queued),
        **{kind: spent.get(kind, "") for kind in ("backoff", "queued", "run", "verify")},
        "held": seconds(held) if held else "",
    }


# --- Grid ----------------------------------------------------------------------------------------


def grid_tab(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    only = asked.get("only", "") if asked.get("only") in ONLY else ""
    tasks = Task.objects.filter(goal=goal).exclude(state="superseded")
    chosen = tasks.filter(_only(only)).only("id", "key", "agent", "state", "attempts_count")
    pages = paged(chosen.order_by("id"), asked, GRID_ROWS_MAX)
    cells = _cells([task.pk for task in pages.rows])
    most = max((task.attempts_count for task in pages.rows), default=0)
    width = min(most, GRID_COLUMNS_MAX)
    return {
        "pages": pages,
        "columns": range(1, width + 1),
        "rows": [_grid_row(task, cells[task.pk], width) for task in pages.rows],
        "only": [(name, text, name == only) for name, text in ONLY.items()],
        "cut": most > GRID_COLUMNS_MAX,
    }


def _only(name: str) -> Q:
    match name:
        case "retried":
            return Q(attempts_count__gt=1)
        case "failed":
            return Q(state="failed")
        case "open":
            return Q(finished_at__isnull=True)
        case _:
            return Q()


def _cells(task_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = defaultdict(list)
    rows = Attempt.objects.filter(
        task_id__in=task_ids, number__gt=F("task__attempts_count") - GRID_COLUMNS_MAX
    )
    for row in rows.only("task_id", "number", "state", "reason").order_by("task_id", "number"):
        found[row.task_id].append(row)
    return found


def _grid_row(task: Task, cells: Sequence[Attempt], width: int) -> dict[str, Any]:
    """As many cells as there are columns. Of a task that was tried more often the first cell says
    how many earlier attempts there were, and the others are the latest."""
    earlier = task.attempts_count - width
    shown = list(cells)[-(width - 1) :] if earlier > 0 and width > 1 else list(cells)[:width]
    left = task.attempts_count - len(shown)
    return {
        "task": task,
        "earlier": left if earlier > 0 else 0,
        "cells": [(row, *sign(row.state)) for row in shown],
        "empty": range(width - len(shown) - (earlier > 0)),
    }
