"""What happened in a goal: the log, as lines that a person reads, and the ledger, as it is written.

Both show the newest first and go back by entry, so that a page stays what it was while the goal goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext

from orchestration.admin.paging import link
from orchestration.domain.telling import FAMILIES, MARKS, OTHER, tasks_of, told, tone_of
from orchestration.models import Goal, LedgerEntry, Task

LINES_MAX, ENTRIES_MAX = 200, 100
NAMES_MAX = 6  # of the tasks that one line names
TEXT_MAX = 150
_CLAIMED = "payload @? %s::jsonpath"


def log_tab(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    rows, problem = narrowed(goal, asked)
    shown, older = _page(rows, asked, LINES_MAX)
    return {
        "lines": lines(goal, shown),
        "seq": shown[0].seq if shown and not asked.get("before") else goal.ledger_seq,
        "newest": not asked.get("before"),
        "tail_query": link({k: v for k, v in asked.items() if k in ("family", "task", "actor")}),
        "problem": problem,
        "asked": {name: asked.get(name, "")[:TEXT_MAX] for name in ("family", "task", "actor")},
        "families": [
            *((name, gettext(text)) for name, text in FAMILIES.items()),
            (OTHER, gettext("anything else")),
        ],
        "link_older": older,
        "link_newest": link(asked, before=None),
    }


def ledger_tab(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    full = asked.get("view") == "full"
    rows = LedgerEntry.objects.filter(goal=goal)
    shown, older = _page(rows, asked, ENTRIES_MAX)
    return {
        "entries": [(entry, _compact(entry.payload)) for entry in shown],
        "full": full,
        "link_compact": link(asked, view=None),
        "link_full": link(asked, view="full"),
        "link_older": older,
        "link_newest": link(asked, before=None),
        "newest": not asked.get("before"),
    }


def tail(goal: Goal, asked: Mapping[str, str]) -> dict[str, Any]:
    """The lines after the entry `after`, for a page that stands open."""
    after = _whole(asked.get("after", "")) or 0
    rows, _ = narrowed(goal, asked)
    found = list(rows.filter(seq__gt=after).order_by("-seq")[:LINES_MAX])
    return {"lines": lines(goal, found), "seq": found[0].seq if found else after, "goal": goal}


# --- Which entries -------------------------------------------------------------------------------


def narrowed(goal: Goal, asked: Mapping[str, str]) -> tuple[QuerySet[LedgerEntry], str]:
    """The entries that were asked for, and what is wrong with what was asked."""
    rows = LedgerEntry.objects.filter(goal=goal)
    family, actor = asked.get("family", ""), asked.get("actor", "").strip()[:TEXT_MAX]
    if family == OTHER:
        for name in FAMILIES:
            rows = rows.exclude(event__startswith=name)
    elif family in FAMILIES:
        rows = rows.filter(event__startswith=family)
    if actor:
        rows = rows.filter(actor__icontains=actor)
    named = asked.get("task", "").strip()[: Task._meta.get_field("key").max_length or TEXT_MAX]
    if not named:
        return rows, ""
    ids = list(Task.objects.filter(goal=goal, key=named).values_list("pk", flat=True)[:20])
    if not ids:
        return rows.none(), gettext("There is no task “%(key)s” in this goal.") % {"key": named}
    about = Q(task_id__in=ids)
    for pk in ids:
        about |= _among(pk)
    return rows.filter(about), ""


def _among(task_id: int) -> Q:
    """Entries about many tasks that have this one among them."""
    claimed = f"strict $.claims[*] ? (@[0] == {task_id})"
    paused = f"strict $.tasks[*] ? (@[0] <= {task_id} && @[0] + @[1] > {task_id})"
    return (
        Q(event="tasks.unblocked", payload__tasks__contains=[task_id])
        | (Q(event="tasks.claimed") & Q(_path(claimed)))
        | (Q(event__in=("tasks.paused", "tasks.resumed")) & Q(_path(paused)))
    )


def _path(text: str) -> RawSQL:
    return RawSQL(_CLAIMED, [text], output_field=BooleanField())  # noqa: S611 - of numbers alone


def _page(
    rows: QuerySet[LedgerEntry], asked: Mapping[str, str], size: int
) -> tuple[list[LedgerEntry], str]:
    """The newest entries before `before`, and the link to older ones, empty where there are none."""
    if (before := _whole(asked.get("before", ""))) is not None:
        rows = rows.filter(seq__lt=before)
    found = list(rows.order_by("-seq")[: size + 1])
    shown = found[:size]
    return shown, link(asked, before=shown[-1].seq) if len(found) > size else ""


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


# --- How they are shown --------------------------------------------------------------------------


def lines(goal: Goal, entries: Sequence[LedgerEntry]) -> list[dict[str, Any]]:
    about = {entry.pk: tasks_of(entry.event, entry.payload) for entry in entries}
    ids = {pk for named in about.values() for pk in named[:NAMES_MAX]}
    ids |= {entry.task_id for entry in entries if entry.task_id}
    keys = dict(Task.objects.filter(goal=goal, pk__in=ids).values_list("pk", "key"))
    return [_line(entry, about[entry.pk], keys) for entry in entries]


def _line(entry: LedgerEntry, about: Sequence[int], keys: Mapping[int, str]) -> dict[str, Any]:
    ids = [entry.task_id] if entry.task_id else list(about)
    tone = tone_of(entry.event, entry.payload)
    return {
        "seq": entry.seq,
        "at": entry.at,
        "event": entry.event,
        "tone": tone,
        "mark": MARKS[tone],
        "tasks": [(pk, keys.get(pk, f"task-{pk}")) for pk in ids[:NAMES_MAX]],
        "more": max(len(ids) - NAMES_MAX, 0),
        "said": told(entry.event, entry.payload, gettext),
        "actor": entry.actor,
        "attempt_id": entry.attempt_id,
    }


def _compact(payload: Any) -> str:
    """A payload on one line."""
    text = json.dumps(payload, ensure_ascii=False, default=str) if payload else ""
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
