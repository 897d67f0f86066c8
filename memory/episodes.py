"""Episodic memory: what the ledger says happened, remembered as sentences.

Replaying the ledger is safe: an entry makes one row, for ever, forgotten ones included. A lock per
goal keeps two replays apart, and a unique index says it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction

from memory.contracts import MemoryDraft
from memory.domain.episodes import READINGS, episode_of
from memory.models import Memory
from memory.store import remember_many

ROUTINE = frozenset({"task.accepted"})
ROUTINE_MAX = 50  # of a goal: a plan of thousands of tasks must not crowd out everything else
OTHERS_MAX = 500
_LOCK_SPACE = 0x656D  # any constant of our own

Entry = Mapping[str, Any]


def episodes_from_ledger(entries: Sequence[Entry]) -> int:
    """Episodic rows from ledger entries; returns how many are new. Twice is once.

    An entry has goal_id, seq, event, actor, at, payload; `namespace` (default: of the goal's own,
    "goal-N") and, if known, task_id, task_key and the goal's objective.
    """
    wanted = sorted(
        (e for e in entries if e["event"] in READINGS), key=lambda e: (e["goal_id"], e["seq"])
    )
    if not wanted:
        return 0
    goals = sorted({int(e["goal_id"]) for e in wanted})
    with transaction.atomic():
        _lock(goals)
        drafts = [_draft(entry) for entry in _new(wanted, goals)]
        return sum(1 for row_id in remember_many(drafts) if row_id)


def _lock(goals: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        for goal_id in goals:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, goal_id % 2_000_000_000]
            )


def _new(entries: Sequence[Entry], goals: Sequence[int]) -> list[Entry]:
    rows = Memory.objects.filter(
        goal_id__in=goals, layer="episodic", provenance__has_key="ledger_seq"
    ).values_list("goal_id", "provenance__ledger_seq", "kind")
    done = {(goal_id, seq) for goal_id, seq, _ in rows}
    routine_kinds = {READINGS[event].kind for event in ROUTINE}
    counts = Counter((goal_id, kind in routine_kinds) for goal_id, _, kind in rows)
    new = []
    for entry in entries:
        routine = entry["event"] in ROUTINE
        place = (int(entry["goal_id"]), routine)
        full = counts[place] >= (ROUTINE_MAX if routine else OTHERS_MAX)
        if full or (entry["goal_id"], entry["seq"]) in done:
            continue
        counts[place] += 1
        new.append(entry)
    return new


def _draft(entry: Entry) -> MemoryDraft:
    reading = READINGS[entry["event"]]
    return MemoryDraft(
        namespace=entry.get("namespace") or f"goal-{entry['goal_id']}",
        layer="episodic",
        text=episode_of(entry) or "",
        kind=reading.kind,
        actor=str(entry["actor"])[:150],
        trust=reading.trust,
        provenance={"goal_id": entry["goal_id"], "ledger_seq": entry["seq"]},
        occurred_at=entry["at"],
        goal_id=entry["goal_id"],
        task_id=entry.get("task_id"),
    )
