"""Memory and a goal: what its agents were told from memory, and what it left there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory import services as memory
from orchestration.models import Attempt, Goal

SHOWN_MAX, LEFT_MAX = 100, 50
ATTEMPTS_MAX = 2000  # whose briefs are looked at, the latest
NAMES_MAX = 5


def memory_tab(goal: Goal, _asked: Mapping[str, str]) -> dict[str, Any]:
    rows = Attempt.objects.filter(goal=goal, lane="agent", started_at__isnull=False)
    tries = list(rows.order_by("-pk").values_list("pk", "task__key", "number")[:ATTEMPTS_MAX])
    named = {f"attempt-{pk}": (pk, f"{key} #{number}") for pk, key, number in tries}
    found = memory.shown_to(list(named), SHOWN_MAX)
    total, left = memory.left_by(goal.pk, LEFT_MAX)
    return {
        "told": [_told(row, named) for row in found],
        "told_max": SHOWN_MAX if len(found) == SHOWN_MAX else 0,
        "attempts_max": ATTEMPTS_MAX if len(tries) == ATTEMPTS_MAX else 0,
        "left": left,
        "left_more": total - len(left),
        "days": memory.SHOWN_DAYS,
    }


def _told(row: Mapping[str, Any], named: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    runs = [named[run] for run in row["runs"] if run in named]
    return {**row, "tries": runs[:NAMES_MAX], "more": max(len(runs) - NAMES_MAX, 0)}
