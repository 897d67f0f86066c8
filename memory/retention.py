"""Growth is bounded: what is worth least goes when a namespace is over its budget, and only then.

A budget is live rows and bytes (of memories and of what search keeps of them). First a memory turns
cold: its text stays and can be opened, search no longer reads it, and the digest that quotes it is found
in its place. Over the budget of bytes, cold ones are gone: a tombstone stays. Never pruned: what is
pinned, procedures, what was recorded less than a day ago; and nothing that happened is gone before a
digest has taken it in. At most a tenth of the rows moves in one pass: superseded versions first, then
digests that a later digest took in, what another row says too, what is worth least (`domain.keeping`),
the oldest among equals. All of it may run at any time, twice and in parallel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from agentsys.kernel.errors import BadInput
from memory.chunks import index_memories
from memory.contracts import Move, PruneReport, Usage
from memory.domain.keeping import Keepable, Worth, worths
from memory.quoting import keeping_lock
from memory.versions import PRUNE, bury

PASS_SHARE = 0.10  # of the rows that one pass may move
PASSES_MAX = 24  # of one `prune_all`
TOMBSTONE_DAYS = 1  # one of pruning, where bytes are short; one with a place in the ledger stays
DIGEST_DAYS = (
    0.0,
    7.0,
    31.0,
    366.0,
    math.inf,
)  # by level: of use so long after a later one took it in
STAYS = 9  # the class of what does not go yet
AGE, LEVEL, FREE = 7, 8, 11  # columns of `_LIVE`
STRENGTH_STEP = 0.05  # stored strengths are refreshed when they are off by more
REFRESH_MAX = 20_000  # rows written by one refresh

# A tombstone of pruning. One that holds a place in the ledger, or is a digest's, stays.
_STONE = """
state = 'gone' AND level = 0 AND provenance->>'forgotten_by' = 'prune' AND NOT provenance ? 'ledger_seq'
"""
_USAGE = f"""
SELECT count(*) FILTER (WHERE state = 'live'), count(*) FILTER (WHERE state = 'cold'),
       COALESCE(sum(pg_column_size(m)), 0),
       COALESCE(sum(pg_column_size(m)) FILTER (WHERE state = 'cold'), 0),
       COALESCE(sum(pg_column_size(m)) FILTER (WHERE {_STONE}), 0),
       (SELECT COALESCE(sum(pg_column_size(c)), 0) FROM agentsys_memory_chunk AS c WHERE namespace = %(ns)s)
FROM agentsys_memory_memory AS m WHERE namespace = %(ns)s
"""  # noqa: S608 - text of this module

# It follows a question of somebody else: that one may be cold by now.
ANSWERS = """
EXISTS (SELECT 1 FROM agentsys_memory_memory AS asked
        WHERE asked.namespace = m.namespace AND asked.session = m.session AND asked.session <> ''
          AND asked.seq = m.seq - 1 AND asked.actor <> m.actor AND strpos(asked.text, '?') > 0)
"""

_NOW = "COALESCE(%(now)s::timestamptz, clock_timestamp())"
_LIVE = f"""
SELECT id, text, actor, {ANSWERS}, kind, importance, access_count,
       extract(epoch FROM {_NOW} - GREATEST(occurred_at, last_access_at))::float8 / 86400,
       level, valid_to IS NOT NULL, parent_id,
       NOT pinned AND layer <> 'procedural' AND recorded_at < {_NOW} - interval '1 day', trust
FROM agentsys_memory_memory AS m WHERE namespace = %(ns)s AND state = 'live' ORDER BY occurred_at, seq, id
"""  # noqa: S608 - the expression is text of this module

# What happened is gone only once a digest has it; what is known or was put aside has none to wait for.
_COLD = f"""
SELECT m.id FROM agentsys_memory_memory AS m LEFT JOIN agentsys_memory_memory AS d ON d.id = m.parent_id
WHERE m.namespace = %(ns)s AND m.state = 'cold' AND NOT m.pinned AND m.layer <> 'procedural'
  AND m.recorded_at < {_NOW} - interval '1 day'
  AND CASE WHEN m.level > 0
           THEN d.state = 'live' AND m.occurred_at < {_NOW} - (%(days)s::float8[])[m.level] * interval '1 day'
           ELSE m.layer <> 'episodic' OR m.valid_to IS NOT NULL OR d.id IS NOT NULL END
ORDER BY m.level, m.occurred_at, m.id LIMIT %(limit)s
"""  # noqa: S608 - as above

# How long an actor's texts are: cold ones too, or those who write pages would seem brief once the longest
# are cold.
_USUAL = """
SELECT actor, avg(length(text) - length(replace(text, ' ', '')) + 1)::float8
FROM agentsys_memory_memory WHERE namespace = %s AND state IN ('live', 'cold') AND level = 0 GROUP BY actor
"""

_COOL = """
UPDATE agentsys_memory_memory SET state = 'cold' WHERE id = ANY(%s) AND state = 'live' AND NOT pinned
"""
_WAKE = """
UPDATE agentsys_memory_memory SET state = 'live'
WHERE id IN (SELECT parent_id FROM agentsys_memory_memory WHERE id = ANY(%s)) AND state = 'cold' AND level > 0
RETURNING id
"""

_STONES = f"""
DELETE FROM agentsys_memory_memory WHERE id IN (
    SELECT id FROM agentsys_memory_memory
    WHERE namespace = %(ns)s AND {_STONE}
      AND (provenance->>'forgotten_at')::timestamptz < {_NOW} - %(days)s * interval '1 day'
    ORDER BY id LIMIT %(limit)s)
"""  # noqa: S608 - as above

# PostgreSQL refuses an exponential that is too near to nothing, and one that is too large: what is dated
# in the future is as fresh as what was just said.
_STRENGTH = f"""
exp(-LEAST(GREATEST(extract(epoch FROM {_NOW} - GREATEST(occurred_at, last_access_at)) / 86400.0, 0)
    / (7.0 * (1 + access_count) * power(2, LEAST(GREATEST(importance - 1.0, -3.0), 3.0))), 700.0))
"""

_REFRESH = f"""
WITH due AS (
    SELECT id, now FROM (
        SELECT id, strength, LEAST({_STRENGTH}, 1.0) AS now
        FROM agentsys_memory_memory WHERE state = 'live'
    ) AS live
    WHERE abs(now - strength) > %(step)s ORDER BY id LIMIT %(limit)s
), free AS (
    SELECT id FROM agentsys_memory_memory WHERE id IN (SELECT id FROM due)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE agentsys_memory_memory AS m SET strength = due.now
FROM due JOIN free USING (id) WHERE m.id = due.id
"""  # noqa: S608 - as above


def usage(namespace: str) -> Usage:
    with connection.cursor() as cursor:
        cursor.execute(_USAGE, {"ns": namespace})
        live, cold, memories, cold_bytes, stone_bytes, chunks = map(int, cursor.fetchone())
    return Usage(live, cold, memories + chunks, cold_bytes, stone_bytes)


def prune(
    namespace: str,
    *,
    rows_max: int | None = None,
    bytes_max: int | None = None,
    dry_run: bool = False,
    now: datetime | None = None,
) -> PruneReport:
    """One pass over a namespace that is over its budget; by default that of the settings.

    With `dry_run` nothing is changed and the report says what would move and why. `now` steps the clock.
    """
    return _pass(namespace, rows_max, bytes_max, dry_run, now, [])


def _pass(
    namespace: str,
    rows_max: int | None,
    bytes_max: int | None,
    dry_run: bool,
    now: datetime | None,
    ranked: list[Move],
) -> PruneReport:
    """`ranked` is filled where it is empty and needed; what a pass takes is taken off."""
    rows = settings.AGENTSYS.memory_rows_max if rows_max is None else rows_max
    size = settings.AGENTSYS.memory_bytes_max if bytes_max is None else bytes_max
    for name, value in (("rows_max", rows), ("bytes_max", size)):
        if value < 0:
            raise BadInput(what="prune", problems=[f"{name} is {value}; expected 0 or more"])
    with transaction.atomic():
        keeping_lock(namespace)
        held = usage(namespace)
        # Tombstones go a day later. Whoever did not wait for them would turn ever more cold meanwhile.
        over = held.bytes - held.stone_bytes - size
        going = _going(namespace, held, over, now)
        over -= _freed(held, going)
        needed = _needed(held, rows, over)
        if needed and not ranked:
            ranked += _least(namespace, now)
        cooling = tuple(ranked[:needed])
        del ranked[:needed]
        stones = 0
        if not dry_run:
            _carry_out(cooling, going, now)
            stones = _drop_stones(namespace, now) if held.bytes > size else 0
    return PruneReport(
        namespace,
        held.live,
        held.bytes,
        (*cooling, *going),
        needed - len(cooling),
        stones,
        dry_run,
    )


def prune_all(
    namespace: str,
    *,
    rows_max: int | None = None,
    bytes_max: int | None = None,
    now: datetime | None = None,
) -> int:
    """Passes until the budget holds or nothing more may move; how many rows moved."""
    total = 0
    ranked: list[Move] = []  # what is worth least does not change from one pass to the next
    for _ in range(PASSES_MAX):
        report = _pass(namespace, rows_max, bytes_max, False, now, ranked)
        if not report.pruned:
            break
        total += len(report.pruned)
    return total


def _going(namespace: str, held: Usage, over: int, now: datetime | None) -> tuple[Move, ...]:
    """Cold rows that are to be tombstones: those whose bytes are needed, the oldest first."""
    if over <= 0 or not held.cold:
        return ()
    needed = math.ceil(over / (held.cold_bytes / held.cold))
    limit = min(needed, _tenth(held.live + held.cold))
    asked = {"ns": namespace, "now": now, "days": _days(), "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_COLD, asked)
        return tuple(Move(row[0], "gone", "cold, and bytes are short") for row in cursor.fetchall())


def _days() -> list[float]:
    return [min(days, 1e6) for days in DIGEST_DAYS[1:]]


def _freed(held: Usage, going: tuple[Move, ...]) -> int:
    return int(len(going) * held.cold_bytes / held.cold) if going else 0


def _needed(held: Usage, rows_max: int, over: int) -> int:
    """How many live rows are to turn cold: those over the budget of rows, or as many as bytes ask for."""
    if not held.live:
        return 0
    each = (held.bytes - held.cold_bytes) / held.live
    needed = max(held.live - rows_max, math.ceil(over / each) if over > 0 else 0)
    return min(needed, _tenth(held.live))


def _tenth(rows: int) -> int:
    return max(int(rows * PASS_SHARE), 1)


def _least(namespace: str, now: datetime | None) -> list[Move]:
    """All that may turn cold, what is worth least first, with the reason for each."""
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, {"ns": namespace, "now": now})
        rows = cursor.fetchall()
        cursor.execute(_USUAL, [namespace])
        usual = dict(cursor.fetchall())
    raw = [row for row in rows if row[LEVEL] == 0]
    worth = {one.id: one for one in worths([_keepable(row) for row in raw], usual)}
    ranked = [(*_class(row, worth), place, row[0]) for place, row in enumerate(rows) if row[FREE]]
    return [
        Move(row_id, "cold", why)
        for first, _, why, _, row_id in sorted(ranked, key=lambda r: (r[0], r[1], r[3]))
        if first < STAYS
    ]


def _class(row: Any, worth: Mapping[int, Worth]) -> tuple[int, float, str]:
    """(what goes first, its worth among its like, why)."""
    age, level, superseded, parent = row[AGE:FREE]
    if superseded:
        return 0, 0.0, "superseded"
    if level:
        outlived = parent is not None and age > DIGEST_DAYS[level]
        return (1, level, f"memory-{parent} sums it up") if outlived else (STAYS, 0.0, "")
    one = worth[row[0]]
    if one.again:
        return 2, one.score, "another one says it too"
    parts = " ".join(f"{name} {share:+.2f}" for name, share in one.signals.items() if share)
    return 3, one.score, f"worth {one.score:+.2f}: {parts}"


def _keepable(row: Any) -> Keepable:
    return Keepable(
        id=row[0],
        text=row[1],
        actor=row[2],
        answers=row[3],
        kind=row[4],
        importance=row[5],
        uses=row[6],
        age_days=row[7],
        trust=row[12],
    )


def _carry_out(cooling: tuple[Move, ...], going: tuple[Move, ...], now: datetime | None) -> None:
    cold = [move.id for move in cooling]
    if going:
        bury([move.id for move in going], by=PRUNE, reason="over budget", now=now)
    with connection.cursor() as cursor:
        cursor.execute(_COOL, [cold])
        cursor.execute(_WAKE, [cold])
        index_memories([row[0] for row in cursor.fetchall()])


def _drop_stones(namespace: str, now: datetime | None) -> int:
    with connection.cursor() as cursor:
        asked = {"ns": namespace, "now": now, "days": TOMBSTONE_DAYS, "limit": REFRESH_MAX}
        cursor.execute(_STONES, asked)
        return int(cursor.rowcount)


def refresh_strengths(now: datetime | None = None) -> int:
    """exp(-age / S), the age counted from the last time it was of use, and S seven days, longer for what
    is recalled often and for what matters."""
    with connection.cursor() as cursor:
        cursor.execute(_REFRESH, {"now": now, "step": STRENGTH_STEP, "limit": REFRESH_MAX})
        return int(cursor.rowcount)
