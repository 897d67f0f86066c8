"""What the pages of a task and of an attempt show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext

from orchestration.admin.calltree import Node, sums, tree
from orchestration.admin.driftchart import chart
from orchestration.admin.evidence import verdicts
from orchestration.admin.gantt import seconds
from orchestration.admin.paging import Paged, paged
from orchestration.models import Attempt, Task
from orchestration.services.why import why
from orchestration.show import document, number, visible
from verification.services import verdicts_of
from workers.reading import journal_page
from workers.services import calls_by_attempt, drift_of, effects_of

STEPS_MAX = 100
CHECKPOINTS_MAX = 200
TEXT_CHARS_MAX = 20_000
SIDE_MAX = 8  # attempts that stand side by side, the latest
NEIGHBOURS_MAX = 50


# --- An attempt ----------------------------------------------------------------------------------


def attempt_page(row: Attempt, asked: Mapping[str, str]) -> dict[str, Any]:
    pages = _steps(row, asked)
    roots = tree(pages.rows)
    checkpoints = drift_of(row.lineage)
    return {
        "report": document(row.report) if row.report else "",
        "verdicts": verdicts(row.pk),
        "pages": pages,
        "steps": [_shown(each, row.pk) for each in roots],
        "sums": sums(roots) if roots else None,
        "whole": pages.left_out == 0,
        "used": calls_by_attempt(row.goal_id, [row.pk])[row.pk],
        "drift": chart(checkpoints),
        "checkpoints": checkpoints[: -CHECKPOINTS_MAX - 1 : -1],
        "effects": effects_of(row.pk)[:NEIGHBOURS_MAX],
        "artifacts": list(row.artifacts.order_by("name")[:NEIGHBOURS_MAX]),
        "why": str(why(f"attempt-{row.pk}").sentence) if row.finished_at is None else "",
        "siblings": _siblings(row),
    }


def _steps(row: Attempt, asked: Mapping[str, str]) -> Paged:
    return paged(_Journal(row.lineage), asked, STEPS_MAX)


class _Journal:
    """A journal as a sequence of which a page is read at a time."""

    def __init__(self, lineage: str) -> None:
        self._lineage = lineage
        self._count: int | None = None

    def __len__(self) -> int:
        if self._count is None:
            self._count, _ = journal_page(self._lineage, 0, 0)
        return self._count

    def __getitem__(self, part: slice) -> list[dict[str, Any]]:
        first, end = part.start or 0, part.stop or 0
        return journal_page(self._lineage, first, end - first)[1]


def _shown(each: Node, attempt_id: int) -> dict[str, Any]:
    return {
        "node": each,
        "seconds": seconds(each.seconds) if each.seconds is not None else "",
        "other": each.attempt if each.attempt != attempt_id else 0,
        "asked": [(name, _text(value)) for name, value in each.asked],
        "said": [(name, _text(value)) for name, value in each.said],
        "leaves": [_shown(leaf, attempt_id) for leaf in each.leaves],
    }


def _text(value: Any) -> Any:
    """Words as words, anything else as JSON; both as nobody may trust them."""
    if not isinstance(value, str):
        return document(value)
    left = len(value) - TEXT_CHARS_MAX
    more = gettext("%(n)s more characters, in the API") % {"n": left}
    return visible(value[:TEXT_CHARS_MAX] + (f"\n… {more}" if left > 0 else ""))


def _siblings(row: Attempt) -> dict[str, Any]:
    """The attempts before and after."""
    rows = Attempt.objects.filter(task_id=row.task_id, number__in=(row.number - 1, row.number + 1))
    found = {number: pk for pk, number in rows.values_list("pk", "number")}
    return {"before": found.get(row.number - 1), "after": found.get(row.number + 1)}


# --- A task --------------------------------------------------------------------------------------


def task_page(row: Task) -> dict[str, Any]:
    latest = list(row.attempts.defer("report").order_by("-number")[: NEIGHBOURS_MAX + 1])
    needs = row.dependencies.select_related("needs").order_by("id")
    dependents = (
        row.dependents.exclude(task__state="superseded").select_related("task").order_by("id")
    )
    accepted = row.accepted_attempt
    output = (accepted.report or {}).get("output") if accepted else None
    return {
        "why": str(why(f"task-{row.pk}").sentence),
        "attempts": latest[:NEIGHBOURS_MAX],
        "attempts_more": row.attempts_count - len(latest[:NEIGHBOURS_MAX]),
        "side": side_by_side(row, latest[:SIDE_MAX][::-1]) if len(latest) > 1 else None,
        "needs": [d.needs for d in needs[:NEIGHBOURS_MAX]],
        "needs_more": max(needs.count() - NEIGHBOURS_MAX, 0),
        "dependents": [d.task for d in dependents[:NEIGHBOURS_MAX]],
        "dependents_more": max(dependents.count() - NEIGHBOURS_MAX, 0),
        "output": document(output) if output is not None else "",
    }


def side_by_side(row: Task, tries: Sequence[Attempt]) -> dict[str, Any]:
    """What each attempt came to, a column each; a line for every verifier that any of them met."""
    ids = [each.pk for each in tries]
    heard, calls = verdicts_of(ids), calls_by_attempt(row.goal_id, ids)
    names = list(dict.fromkeys(_name(v) for pk in ids for v in heard[pk]))
    return {
        "tries": tries,
        "rows": [
            (gettext("In the queue"), [_between(t.created_at, t.started_at) for t in tries]),
            (
                gettext("Ran"),
                [_between(t.started_at, t.reported_at or t.finished_at) for t in tries],
            ),
            (gettext("Was verified"), [_between(t.reported_at, t.finished_at) for t in tries]),
            (gettext("Tokens"), [number(t.tokens) for t in tries]),
            (gettext("Cost"), [f"${number(t.cost_usd, 4)}" for t in tries]),
            (gettext("Models"), [_models(calls[pk]) for pk in ids]),
        ],
        "verdicts": [
            (name, [_said([v for v in heard[pk] if _name(v) == name]) for pk in ids])
            for name in names
        ],
    }


def _name(view: Any) -> str:
    return f"{view.verifier}/{view.voter}" if view.voter else str(view.verifier)


def _said(views: Sequence[Any]) -> dict[str, Any] | None:
    if not views:
        return None
    view = views[0]
    outcome = str(view.outcome or "queued")
    said_otherwise = view.override is not None and str(view.override.outcome) != outcome
    return {
        "outcome": outcome,
        "override": str(view.override.outcome) if said_otherwise else "",
        "reasons": list(view.reasons)[:3],
    }


def _between(start: Any, end: Any) -> str:
    return seconds(max((end - start).total_seconds(), 0.0)) if start and end else ""


def _models(calls: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(f"{call['model']} ({call['role']})" for call in calls))
