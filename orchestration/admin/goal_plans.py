"""What a goal is held to and how it is to be done: the contract, and the versions of its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentsys.kernel.errors import NotFound
from orchestration.admin.diffview import review
from orchestration.admin.paging import paged
from orchestration.admin.plandiff import difference
from orchestration.admin.steps import facts, step, task_facts
from orchestration.models import Goal, LedgerEntry, Plan
from orchestration.services.reads import plan_view
from orchestration.show import document

VERSIONS_MAX = 50
TASKS_MAX = 200


def plan_tab(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    rows = Plan.objects.filter(goal=goal).defer("document").order_by("-version")
    pages = paged(rows, asked, VERSIONS_MAX)
    who = _who(goal)
    return {
        "contract": document(goal.contract),
        "contract_facts": contract_facts(goal),
        "pages": pages,
        "versions": [(row, *who.get(row.version, ("", 0))) for row in pages.rows],
        "version": _whole(asked.get("version", "")),
        **_chosen(goal, asked),
        **_compared(goal, asked, pages.total),
    }


def contract_facts(goal: Goal) -> list[tuple[str, str]]:
    return facts(goal.contract, without=("asked",))  # a hash, for the same goal handed in twice


def _who(goal: Goal) -> dict[int, tuple[str, int]]:
    """By version: who brought it, and how many tasks it brought."""
    rows = LedgerEntry.objects.filter(goal=goal, event="plan.accepted").order_by("-seq")
    told = rows.values_list("actor", "payload__version", "payload__tasks")
    return {version: (actor, tasks) for actor, version, tasks in told[:VERSIONS_MAX]}


def _chosen(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    """The tasks of the version in force, or of the one that was asked for."""
    try:
        return planned(goal.pk, _whole(asked.get("version", "")))
    except NotFound as error:
        return {"plan": None, "plan_missing": str(error) if asked.get("version") else ""}


def planned(goal_id: int, version: int | None = None) -> dict[str, Any]:
    """For `console/_plan.html`: every task of a version as it would run, laid out and word for word.
    Raises NotFound."""
    found = plan_view(goal_id, version)
    tasks = found["tasks"]
    shown = [(step(task), task_facts(task), document(task)) for task in tasks[:TASKS_MAX]]
    return {"plan": found, "plan_tasks": shown, "plan_left_out": len(tasks) - len(shown)}


def _compared(goal: Goal, asked: Mapping[str, str], total: int) -> dict[str, Any]:
    """The two versions that were asked for, side by side; by default none."""
    old, new = _whole(asked.get("old", "")), _whole(asked.get("new", ""))
    if old is None or new is None:
        return {"old": max(total - 1, 1), "new": total, "compared": None}
    try:
        before, after = (plan_view(goal.pk, number)["tasks"] for number in (old, new))
    except NotFound as error:
        return {"old": old, "new": new, "compared": None, "compare_problem": str(error)}
    found = difference(before, after)
    return {
        "old": old,
        "new": new,
        "compared": found,
        "compared_text": [each.rows for each in review(found.text).files],
    }


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
