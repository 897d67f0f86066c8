"""Swarms: items leased, run and settled by the hundred. What every write guarantees is said here.

A task with a `swarm` stays blocked, with nothing to wait for, until its items are done; then it
becomes ready like any other and its agent hands over what they came to, before its verifiers.

- *One shift acts.* Whoever runs items has a `SwarmShift`, whose id is a fence: it comes from a
  sequence and is never given twice. An item under lease names its shift, and is settled only by
  that one, only while it is leased. A shift that is over, lost or ended, holds no item.
- *Accepted once.* An item has one row, one input has one row that is run (a unique index on its
  hash), and only the guarded update of `settle` or of the inspection accepts it.
- *Dies before COMMIT*: nothing was done, the items are leased, the sweep takes the shift back.
  *After it*: done, and nobody need be told; the next bell looks at the rows. *In between*: the
  second time moves nothing. *Twice, late*: the items are no longer this shift's.
- *Spawned once*: items are put in by the statement's transaction that settles their parent, at
  places (`path`) that are its own.

Everything here is done under the goal's lock with one entry in the ledger that names the items by
ranges of ids. Shifts and items are no tasks: the ledger's fold passes over `swarm.*`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connection

from agentsys.gateway import Spent
from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical_of_plain, digest_of_plain, plain
from orchestration.domain.plan_swarm import ITEMS_MAX, Terms, terms_of
from orchestration.domain.refs import resolve
from orchestration.domain.swarming import ranges
from orchestration.models import Swarm, SwarmShift, Task
from orchestration.services.budgets import reservations_release
from orchestration.services.ledger import Book
from orchestration.services.moves import ORCHESTRATOR
from workers.micro import settings_problems

ITEM = "agentsys_orchestration_swarmitem"
SHIFT = "agentsys_orchestration_swarmshift"
ROWS_MAX = 5000  # of one INSERT
DEFINITIONS_KEPT = 16

# The first of each input is run; those after it, and those whose input is there already, are twins.
_FIRST = f"""
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS g(n int, path jsonb, input jsonb, hash text)
), firsts AS (SELECT DISTINCT ON (hash) * FROM given ORDER BY hash, n)
INSERT INTO {ITEM} (task_id, path, input, input_hash, state, attempts, losses, output_hash, verdict,
                    tokens, cost_usd, reason)
SELECT %(task)s, ARRAY(SELECT p::int FROM jsonb_array_elements_text(path) p), input, hash, 'open',
       0, 0, '', '', 0, 0, '' FROM firsts ORDER BY n
ON CONFLICT DO NOTHING
"""  # noqa: S608 - names of our own
_TWINS = f"""
WITH given AS (
    SELECT n, hash, ARRAY(SELECT p::int FROM jsonb_array_elements_text(path) p) AS path
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS g(n int, path jsonb, hash text)
)
INSERT INTO {ITEM} (task_id, path, input_hash, state, attempts, losses, output_hash, verdict,
                    tokens, cost_usd, reason)
SELECT %(task)s, g.path, g.hash, 'twin', 0, 0, '', '', 0, 0, '' FROM given g
WHERE NOT EXISTS (SELECT 1 FROM {ITEM} i WHERE i.task_id = %(task)s AND i.path = g.path)
ORDER BY n
"""  # noqa: S608

_STANDING = """
SELECT t.state = 'blocked' AND t.expands AND s.state = 'mapping',
       t.paused_at IS NOT NULL OR g.paused_at IS NOT NULL OR g.state <> 'running',
       EXISTS (SELECT 1 FROM agentsys_orchestration_approvalrequest r
               WHERE r.task_id = t.id AND r.state = 'open' AND r.kind = 'budget'),
       s.settings, s.inspect, s.allowance, s.allowed_at, t.key, t.definition_hash
FROM agentsys_orchestration_swarm s
JOIN agentsys_orchestration_task t ON t.id = s.task_id
JOIN agentsys_orchestration_goal g ON g.id = s.goal_id
WHERE s.task_id = %s
"""

# Items are found by primary key, as in `hotpath`: guards that no index answers leave the planner, whose
# statistics know nothing of a table that was just filled, no other choice.
# What killed two workers may kill the next: it runs alone, so that it takes nothing with it.
_CLAIM = f"""
WITH picked AS MATERIALIZED (
    SELECT id FROM {ITEM} WHERE task_id = %(task)s AND state = 'open'
      AND (losses >= %(suspect)s) = %(alone)s AND (due_at IS NULL OR due_at <= %(now)s)
    ORDER BY id LIMIT %(limit)s
)
UPDATE {ITEM} i SET state = 'leased', shift_id = %(shift)s, attempts = i.attempts + 1, due_at = NULL
FROM picked WHERE i.id = picked.id AND i.state IS NOT DISTINCT FROM 'open'
RETURNING i.id, i.path, i.input, i.attempts, i.reason, i.losses
"""  # noqa: S608

_SETTLE = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS g(
        id bigint, ok boolean, output jsonb, hash text, tokens bigint, cost numeric, reason text,
        final boolean, forgiven boolean, wait float8)
)
UPDATE {ITEM} i SET
    state = CASE WHEN g.ok THEN 'answered' WHEN g.final OR NOT g.forgiven AND i.attempts >= %(most)s
                 THEN 'failed' ELSE 'open' END,
    attempts = i.attempts - (NOT g.ok AND g.forgiven)::int,
    output = CASE WHEN g.ok THEN g.output END, output_hash = CASE WHEN g.ok THEN g.hash ELSE '' END,
    reason = g.reason, tokens = i.tokens + g.tokens, cost_usd = i.cost_usd + g.cost,
    due_at = CASE WHEN NOT g.ok AND g.wait > 0
                  THEN %(now)s + make_interval(secs => g.wait) END,
    finished_at = CASE WHEN NOT g.ok AND (g.final OR NOT g.forgiven AND i.attempts >= %(most)s)
                       THEN %(now)s END
FROM given g WHERE i.id = g.id AND i.shift_id IS NOT DISTINCT FROM %(shift)s
  AND i.state IS NOT DISTINCT FROM 'leased'
RETURNING i.id, i.path, i.state, i.output_hash
"""  # noqa: S608

_GIVE_BACK = f"""
UPDATE {ITEM} i SET shift_id = NULL,
    losses = i.losses + %(lost)s::int, attempts = i.attempts - 1,
    state = CASE WHEN %(lost)s::int = 1 AND i.losses + 1 >= %(most)s THEN 'failed' ELSE 'open' END,
    reason = CASE WHEN %(lost)s::int = 1 THEN 'its worker was lost' ELSE i.reason END,
    finished_at = CASE WHEN %(lost)s::int = 1 AND i.losses + 1 >= %(most)s THEN %(now)s END
WHERE i.task_id = %(task)s AND i.shift_id = %(shift)s AND i.state = 'leased'
  AND NOT (i.id = ANY(%(keep)s))
RETURNING i.id, i.state
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Standing:
    """A swarm at this moment. `moves` False: it is over, or its task is; nothing more is settled."""

    moves: bool
    waits: bool  # paused, or for a budget: nothing more is leased
    asked: bool
    settings: dict[str, Any]
    definition: dict[str, Any]
    terms: Terms
    inspect: str
    allowance: float
    allowed_at: datetime | None
    key: str
    definition_hash: str


@dataclass(frozen=True, slots=True)
class Leased:
    id: int
    path: tuple[int, ...]
    input: Any
    attempt: int
    reason: str
    losses: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one item. `reservation` is what was set aside for it, with its bound."""

    id: int
    path: tuple[int, ...]
    ok: bool
    output: Any = None
    spawn: tuple[Any, ...] = ()
    tokens: int = 0
    cost_usd: float = 0.0
    calls: int = 0
    reason: str = ""
    final: bool = False  # another try would not help
    forgiven: bool = False  # no fault of the item's: the try does not count
    wait_seconds: float = 0.0
    made: tuple[Spent, ...] = ()  # its model calls, for the record


def swarm_open(book: Book, task: Task, outputs: Mapping[str, Any]) -> bool:
    """Put the items of a task's swarm in, or let those that failed begin again when a person retries
    the task. True when something changed. BadInput for items that cannot be used."""
    swarm = Swarm.objects.filter(task=task).first()
    if swarm is not None:
        return _reopen(book, swarm)
    given = task.definition["swarm"]
    terms = terms_of(task.definition)
    items = resolve(given["over"], {"tasks": outputs})
    if not isinstance(items, list):
        what = f"it goes over a {type(items).__name__}, not a list"
        raise BadInput(what=f"swarm {task.key}", problems=[what])
    if len(items) > ITEMS_MAX:
        what = f"it has {len(items)} items; at most {ITEMS_MAX} are taken"
        raise BadInput(what=f"swarm {task.key}", problems=[what])
    chosen = resolve(given.get("with") or {}, {"tasks": outputs})
    if problems := settings_problems(terms.micro, chosen):
        raise BadInput(what=f"swarm {task.key}", problems=problems)
    Swarm.objects.create(
        task=task, goal_id=book.goal_id, settings=plain(chosen), publish_due_at=book.now
    )
    _items_insert(task.pk, (((n,), item) for n, item in enumerate(items)))
    payload = {
        "items": len(items),
        "items_hash": digest_of_plain(plain(items)),
        "micro": terms.micro,
    }
    book.record("swarm.opened", actor=ORCHESTRATOR, task_id=task.pk, payload=payload)
    return True


def _reopen(book: Book, swarm: Swarm) -> bool:
    if swarm.state != "failed":
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {ITEM} SET state = 'open', attempts = 0, losses = 0, finished_at = NULL"  # noqa: S608
            " WHERE task_id = %s AND state = 'failed' RETURNING id",
            [swarm.pk],
        )
        again = [row[0] for row in cursor.fetchall()]
    Swarm.objects.filter(pk=swarm.pk).update(
        state="mapping", finished_at=None, publish_due_at=book.now
    )
    book.record(
        "swarm.reopened", actor=ORCHESTRATOR, task_id=swarm.pk, payload={"again": ranges(again)}
    )
    return True


def _items_insert(task_id: int, items: Iterable[tuple[Sequence[int], Any]]) -> None:
    rows: list[str] = []
    for n, (path, item) in enumerate(items):
        value = plain(item)
        facts = {"n": n, "path": list(path), "input": value, "hash": digest_of_plain(value)}
        rows.append(canonical_of_plain(facts))
    with connection.cursor() as cursor:
        for start in range(0, len(rows), ROWS_MAX):
            part: dict[str, Any] = {
                "task": task_id,
                "rows": f"[{','.join(rows[start : start + ROWS_MAX])}]",
            }
            cursor.execute(_FIRST, part)
            cursor.execute(_TWINS, part)


def standing_of(task_id: int) -> Standing | None:
    """None when the task has no open swarm row."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, [task_id])
        row = cursor.fetchone()
    if row is None:
        return None
    moves, waits, asked, chosen, *rest = row
    definition, terms = _frozen(task_id, rest[-1])
    return Standing(moves, waits or asked, asked, _json(chosen), definition, terms, *rest)


@lru_cache(DEFINITIONS_KEPT)
def _frozen(task_id: int, definition_hash: str) -> tuple[dict[str, Any], Terms]:  # noqa: ARG001
    """A task's definition never changes under its hash, and with its items in it may be long: reading
    it each time that items are settled would make a swarm cost the square of its items."""
    definition = Task.objects.values_list("definition", flat=True).get(pk=task_id)
    kept = {**definition, "swarm": {**definition["swarm"], "over": []}}
    return kept, terms_of(definition)


def shift_begin(book: Book, task_id: int, owner: int) -> int | None:
    """A shift for this worker at the swarm; None when nothing can be leased there now."""
    seen = standing_of(task_id)
    if seen is None or not seen.moves or seen.waits:
        return None
    shift = SwarmShift.objects.create(
        task_id=task_id,
        goal_id=book.goal_id,
        owner=owner,
        lease_until=_later(book.now, settings.AGENTSYS.lease_seconds),
    )
    return shift.pk


def items_claim(
    book: Book, task_id: int, shift_id: int, seen: Standing, *, room: int, holds: int
) -> list[Leased]:
    """Lease up to `room` items, as far as the swarm's concurrency and rate allow. `holds` are those
    that this shift runs already: a suspect is taken only by a shift that holds nothing."""
    limit = min(room, seen.terms.chunk, _free(task_id, seen.terms, holds), _allowed(book, seen))
    if limit <= 0 or not SwarmShift.objects.filter(pk=shift_id, ended_at=None).exists():
        return []
    values: dict[str, Any] = {"task": task_id, "shift": shift_id, "now": book.now}
    values["suspect"] = max(1, settings.AGENTSYS.lost_max - 1)
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {**values, "alone": False, "limit": limit})
        rows = cursor.fetchall()
        if not rows and not holds:
            cursor.execute(_CLAIM, {**values, "alone": True, "limit": 1})
            rows = cursor.fetchall()
    found = [Leased(row[0], tuple(row[1]), _json(row[2]), *row[3:]) for row in sorted(rows)]
    if found:
        book.served = True
        payload = {"shift": shift_id, "items": ranges(item.id for item in found)}
        book.record("swarm.claimed", actor="swarm", task_id=task_id, payload=payload)
        if seen.terms.rate_per_minute is not None:
            _spend_rate(book, task_id, seen, len(found))
    return found


def next_in(book: Book, task_id: int, seen: Standing) -> float | None:
    """Seconds until an open item may be leased that could not be now, because of the rate or since
    it is tried again later; None when no such item is open."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXTRACT(EPOCH FROM min(COALESCE(due_at, %s)) - %s)::float8 FROM {ITEM}"  # noqa: S608
            " WHERE task_id = %s AND state = 'open'",
            [book.now, book.now, task_id],
        )
        (due,) = cursor.fetchone()
    if due is None:
        return None
    rate = seen.terms.rate_per_minute
    missing = max(0.0, 1.0 - _room_now(book, seen)) * 60 / rate if rate else 0.0
    return max(0.0, float(due), missing)


def _free(task_id: int, terms: Terms, holds: int) -> int:
    """Room within the concurrency, of which each shift has its equal part: a worker that comes later
    gets its own as items end, and one that is lost takes no more than its own with it."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT (SELECT count(*) FROM {ITEM} WHERE task_id = %(task)s AND state = 'leased'),"  # noqa: S608
            f" (SELECT count(*) FROM {SHIFT} WHERE task_id = %(task)s AND ended_at IS NULL)",
            {"task": task_id},
        )
        leased, shifts = cursor.fetchone()
    part = -(-terms.concurrency // max(1, shifts))
    return min(terms.concurrency - int(leased), int(part) - holds)


def _room_now(book: Book, seen: Standing) -> float:
    """A bucket that fills at the rate and holds a second's worth, one item at least."""
    rate = (seen.terms.rate_per_minute or 0.0) / 60
    if seen.allowed_at is None:
        return max(1.0, rate)
    since = (book.now - seen.allowed_at).total_seconds()
    return min(max(1.0, rate), seen.allowance + since * rate)


def _allowed(book: Book, seen: Standing) -> int:
    if seen.terms.rate_per_minute is None:
        return ITEMS_MAX
    return int(_room_now(book, seen))


def _spend_rate(book: Book, task_id: int, seen: Standing, count: int) -> None:
    Swarm.objects.filter(pk=task_id).update(
        allowance=_room_now(book, seen) - count, allowed_at=book.now
    )


def items_settle(
    book: Book, task_id: int, shift_id: int, seen: Standing, batch: Sequence[Settled]
) -> set[int]:
    """Book what a shift has run; the ids that moved. What is no longer its own does not."""
    if not batch or not seen.moves:
        return set()
    batch = _spawned(task_id, seen.terms, batch)
    with connection.cursor() as cursor:
        cursor.execute(
            _SETTLE,
            {
                "rows": f"[{','.join(map(_as_json, batch))}]",
                "most": seen.terms.attempts_max,
                "shift": shift_id,
                "now": book.now,
            },
        )
        rows = sorted(cursor.fetchall())
    moved = {row[0] for row in rows}
    if not moved:
        return moved
    children = [
        ((*item.path, k), child)
        for item in batch
        if item.id in moved and item.ok
        for k, child in enumerate(item.spawn)
    ]
    _items_insert(task_id, children)
    if children:
        count = Swarm.objects.values_list("spawned", flat=True).get(pk=task_id) + len(children)
        Swarm.objects.filter(pk=task_id).update(spawned=count)
    by_state = {
        name: ranges(row[0] for row in rows if row[2] == name)
        for name in ("answered", "open", "failed")
    }
    payload = {
        "shift": shift_id,
        **{name: found for name, found in by_state.items() if found},
        "outputs_hash": digest_of_plain([row[3] for row in rows]),
        **({"spawned": len(children)} if children else {}),
    }
    book.record("swarm.settled", actor="swarm", task_id=task_id, payload=payload)
    return moved


def _spawned(task_id: int, terms: Terms, batch: Sequence[Settled]) -> list[Settled]:
    """An item that spawns beyond the swarm's limits has failed, and spawns nothing."""
    if not any(item.spawn for item in batch):
        return list(batch)
    there = Swarm.objects.values_list("spawned", flat=True).get(pk=task_id)
    found = []
    for item in batch:
        problem = ""
        if item.spawn and len(item.path) > terms.spawn_depth:
            problem = f"it spawns items at depth {len(item.path)}; at most {terms.spawn_depth}"
        elif there + len(item.spawn) > terms.spawn_max:
            most = terms.spawn_max
            problem = f"it spawns {len(item.spawn)} items; {there} of at most {most} are there"
        if problem:
            item = Settled(
                item.id, item.path, False, tokens=item.tokens, cost_usd=item.cost_usd,
                calls=item.calls, reason=f"{problem} (swarm.spawn)", final=True,
            )  # fmt: skip
        else:
            there += len(item.spawn)
        found.append(item)
    return found


def _as_json(item: Settled) -> str:
    output = plain(item.output)
    return canonical_of_plain(
        plain(
            {
                "id": item.id,
                "ok": item.ok,
                "output": output if item.ok else None,
                "hash": digest_of_plain(output) if item.ok else "",
                "tokens": item.tokens,
                "cost": round(item.cost_usd, 6),
                "reason": item.reason[:2000],
                "final": item.final,
                "forgiven": item.forgiven,
                "wait": item.wait_seconds,
            }
        )
    )


def items_give_back(
    book: Book, task_id: int, shift_id: int, *, keep: Collection[int] = (), lost: bool = False
) -> int:
    """What a shift has leased, but for `keep`, is open again, and the try does not count. What was
    lost with `lost_max` workers has failed."""
    with connection.cursor() as cursor:
        cursor.execute(
            _GIVE_BACK,
            {
                "task": task_id,
                "shift": shift_id,
                "lost": int(lost),
                "most": settings.AGENTSYS.lost_max,
                "now": book.now,
                "keep": list(keep),
            },
        )
        rows = cursor.fetchall()
    if rows:
        failed = [row[0] for row in rows if row[1] == "failed"]
        payload = {"shift": shift_id, "items": ranges(row[0] for row in rows), "lost": lost}
        if failed:
            payload["failed"] = ranges(failed)
        book.record("swarm.given_back", actor="swarm", task_id=task_id, payload=payload)
    return len(rows)


def shift_end(book: Book, task_id: int, shift_id: int, *, lost: bool = False) -> bool:
    """Give back what it holds, and hold nothing ever again. False: it was over already."""
    ended = SwarmShift.objects.filter(pk=shift_id, ended_at=None).update(
        ended_at=book.now, lost=lost
    )
    if ended:
        items_give_back(book, task_id, shift_id, lost=lost)
        reservations_release(goal_id=book.goal_id)
    return bool(ended)


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
