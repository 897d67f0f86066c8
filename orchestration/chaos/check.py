"""The end of a scenario: the database's story against the witness's.

Each figure is a count of things that must not be. `lost`: done in the ledger, unknown to the
witness. `doubled`: a key that the witness heard more than once. `phantom`: heard, but no intent was
committed before. `stale`: an accepted attempt of another fence than its task's, or more than one.
`repeated`: a scripted model call made again after its outcome was on record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from orchestration.chaos.witness import records
from orchestration.models import Goal, Task
from orchestration.services.fsck import fsck
from workers.models import Effect, Step

_STALE = """
SELECT t.id FROM agentsys_orchestration_task t
LEFT JOIN agentsys_orchestration_attempt a ON a.task_id = t.id AND a.state = 'accepted'
WHERE t.state = 'done' GROUP BY t.id, t.fence, t.accepted_attempt_id
HAVING count(a.id) <> 1 OR min(a.id) <> t.accepted_attempt_id OR min(a.fence) <> t.fence
"""
SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Checked:
    """Figures, and for those that are not 0 a few examples."""

    tasks: int
    done: int
    effects: int
    calls: int
    counts: dict[str, int]
    examples: dict[str, list[Any]]

    @property
    def holds(self) -> bool:
        return not any(self.counts.values())


def check(witness: Path) -> Checked:
    """Compare; everything that was at work must be at rest."""
    heard = list(records(witness))
    effects = Counter(r["key"] for r in heard if r["kind"] == "effect")
    calls = [r for r in heard if r["kind"] == "call"]
    intents = set(Effect.objects.values_list("key", flat=True))
    wrong: dict[str, list[Any]] = {
        "lost": sorted(_claimed_done() - effects.keys()),
        "doubled": sorted(key for key, count in effects.items() if count > 1),
        "phantom": sorted(effects.keys() - intents),
        "stale": _stale(),
        "repeated": _repeated(calls),
        "open_goals": list(
            Goal.objects.filter(finished_at=None).order_by("pk").values_list("pk", flat=True)
        ),
        "failed_tasks": list(
            Task.objects.filter(state="failed", optional=False)
            .order_by("pk")
            .values_list("pk", "reason")
        ),
        "fsck": [f"{f.ref} {f.problem}" for f in fsck()],
    }
    return Checked(
        tasks=Task.objects.count(),
        done=Task.objects.filter(state="done").count(),
        effects=sum(effects.values()),
        calls=len(calls),
        counts={name: len(rows) for name, rows in wrong.items()},
        examples={name: rows[:SHOWN_MAX] for name, rows in wrong.items() if rows},
    )


def _claimed_done() -> set[str]:
    """The keys of the effects that the database says were made."""
    done = Task.objects.filter(state="done", agent="chaos-effect")
    return {f"goal-{goal}/task-{pk}" for goal, pk in done.values_list("goal_id", "pk")}


def _stale() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_STALE)
        return [row[0] for row in cursor.fetchall()]


def _repeated(calls: list[dict[str, Any]]) -> list[str]:
    """Calls of a later fence than the one whose outcome is on record, or two of one fence.

    A call of an earlier fence was cut off before its outcome was stored: it may be made again."""
    kept = {
        (lineage, index): fence
        for lineage, index, fence in Step.objects.filter(state="done", kind="model").values_list(
            "lineage", "index", "fence"
        )
    }
    made: dict[tuple[str, int], list[int]] = defaultdict(list)
    for call in calls:
        made[call["lineage"], call["step"]].append(call["fence"])
    return sorted(
        f"{lineage} step {step}"
        for (lineage, step), fences in made.items()
        if len(set(fences)) < len(fences)
        or any(fence > kept.get((lineage, step), max(fences)) for fence in fences)
    )
