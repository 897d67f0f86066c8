"""What a run was told from memory, so that it cannot write the same back as news.

An agent that recalls a text and notes it down again makes a copy of lesser trust at every turn: a recall
loop. `recall(run=…)` notes what it showed; `remember` with that run as its batch finds what is equal, or
equal but for words that add nothing, and counts it on the row that was shown. Kept for some days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection, models
from django.db.models.functions import Now

from memory.domain.sameness import echoes

DAYS = 7  # that a run may go on

_NOTE = """
INSERT INTO agentsys_memory_seen (run, memory_id, at)
SELECT %(run)s, id, COALESCE(%(now)s::timestamptz, clock_timestamp()) FROM unnest(%(ids)s::bigint[]) AS id
ON CONFLICT (run, memory_id) DO NOTHING
"""
_SHOWN = """
SELECT s.run, m.id, m.text FROM agentsys_memory_seen AS s
JOIN agentsys_memory_memory AS m ON m.id = s.memory_id AND m.state = 'live'
WHERE s.run = ANY(%s) ORDER BY m.id
"""
_AGAIN = """
UPDATE agentsys_memory_memory AS m
SET access_count = access_count + 1, last_access_at = clock_timestamp()
FROM (SELECT id FROM agentsys_memory_memory WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE) AS free
WHERE m.id = free.id
"""
_OLD = """
DELETE FROM agentsys_memory_seen
WHERE at < COALESCE(%s::timestamptz, clock_timestamp()) - %s * interval '1 day'
"""


class Seen(models.Model):
    """A memory that was shown to a run, such as attempt-12."""

    pk = models.CompositePrimaryKey("run", "memory_id")
    run = models.CharField(max_length=80)
    memory_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "seen"
        indexes = [models.Index(name="seen_at", fields=["at"])]

    def __str__(self) -> str:
        return f"{self.run} saw memory-{self.memory_id}"


def note_shown(run: str, ids: Sequence[int], now: datetime | None = None) -> None:
    if run and ids:
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, {"run": run, "ids": sorted(ids), "now": now})


def shown_again(texts: Sequence[tuple[str, str]]) -> Mapping[int, int]:
    """For (run, text): place → the memory that this run was shown and that says the same."""
    runs = sorted({run for run, _ in texts if run})
    if not runs:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_SHOWN, [runs])
        shown = cursor.fetchall()
    by_run: dict[str, list[tuple[int, str]]] = {}
    for run, row_id, text in shown:
        by_run.setdefault(run, []).append((row_id, text))
    found: dict[int, int] = {}
    for place, (run, text) in enumerate(texts):
        for row_id, before in by_run.get(run, ()):
            if echoes(text, before):
                found[place] = row_id
                break
    return found


def count_again(ids: Sequence[int]) -> None:
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(_AGAIN, [sorted(set(ids))])


def drop_old(now: datetime | None = None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_OLD, [now, DAYS])
        return int(cursor.rowcount)
