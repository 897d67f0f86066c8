"""Claim and settle: the few statements that every task goes through, set-based and by hand.

Guaranteed:
- *One attempt acts.* A claim moves task and attempt together, raises the task's fence by one and
  puts owner and lease on the attempt. Settling moves only attempts that are still `running` (or
  `reported`, when verdicts came later) under the very fence they were claimed with.
- *Nothing is unlocked twice or missed.* `unmet` goes down in the transaction that moves the
  dependency to its end, once, under the goal's lock; whoever brings it to zero makes the task
  ready and queues its attempt in the same statement.
- *A queued attempt is its own outbox.* It is born with `publish_due_at`; a message is sent after
  the commit, and the sweep sends another whenever that time passes unclaimed.

All functions take the open `Book` of a locked goal. They write several states in one statement,
always along the tables in `domain.lives` (running → reported → accepted in one step is two legal
moves). The ORM would need 8 to 17 times as long for the same work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from agentsys.prepared import fetch
from orchestration.services.ledger import ENTRIES_INSERT, HEAD_UPDATE, Book
from verification.services import INSERT_OF_ACCEPTED, VerdictRow, verdicts_json

# Which goal is served next: highest priority first, then the one that was served longest ago. One
# whose lock is held is served by another worker at this moment; there may be one that nobody serves.
_NEXT_GOAL = """
SELECT g.id FROM agentsys_orchestration_goal g
WHERE g.state = 'running' AND g.paused_at IS NULL AND EXISTS (
    SELECT 1 FROM agentsys_orchestration_attempt a
    JOIN agentsys_orchestration_task t ON t.id = a.task_id
    WHERE a.goal_id + 0 = g.id AND a.lane = %s AND a.state = 'queued'
      AND t.state = 'ready' AND t.paused_at IS NULL
      AND (t.due_at IS NULL OR t.due_at <= clock_timestamp()))
ORDER BY g.priority DESC, g.claimed_at NULLS FIRST, g.id LIMIT 1
"""
_NEXT_FREE_GOAL = f"{_NEXT_GOAL} FOR NO KEY UPDATE OF g SKIP LOCKED"

# These tables change faster than their statistics, so the planner is left little choice: the queue
# is read in the order of `attempt_claimable`, whose first column is the expression `goal_id + 0`,
# and all else is found by primary key. A guard that might tempt it to another index is written as
# `IS NOT DISTINCT FROM` or `IS TRUE`, which no index can answer. Of a guard of that kind the planner
# expects one row in two hundred: where one is always true, it is there to have it find rows by their
# keys instead of reading a whole table for a few.
_PICK_LANE = """
    SELECT q.id, q.task_id FROM (
        SELECT a.id, a.task_id FROM agentsys_orchestration_attempt a
        WHERE a.goal_id + 0 = %(goal)s::bigint AND a.lane = %(lane)s AND a.state = 'queued'
        ORDER BY a.priority DESC, a.id
    ) q, LATERAL (
        SELECT 1 FROM agentsys_orchestration_task t
        WHERE t.id = q.task_id AND t.state IS NOT DISTINCT FROM 'ready' AND NOT t.scoped
          AND (t.losses > 0) = %(suspect)s::boolean
          AND t.paused_at IS NULL
          AND (t.due_at IS NULL OR t.due_at <= %(now)s::timestamptz)
        OFFSET 0
    ) claimable LIMIT %(limit)s::bigint
"""

_PICK_TASK = """
    SELECT a.id, a.task_id FROM agentsys_orchestration_task t
    JOIN agentsys_orchestration_attempt a ON a.task_id = t.id AND a.state = 'queued'
    WHERE t.id = %(task)s::bigint AND t.goal_id IS NOT DISTINCT FROM %(goal)s::bigint
      AND t.state IS NOT DISTINCT FROM 'ready' AND t.paused_at IS NULL
      AND (t.due_at IS NULL OR t.due_at <= %(now)s::timestamptz)
      AND t.fence = COALESCE(%(fence)s::bigint, t.fence)
"""

_CLAIM = """
WITH picked AS MATERIALIZED ({pick}), taken AS (
    UPDATE agentsys_orchestration_task t
    SET state = 'running', fence = t.fence + 1, due_at = NULL, reason = '',
        started_at = COALESCE(t.started_at, %(now)s::timestamptz)
    FROM picked WHERE t.id = picked.task_id AND t.state IS NOT DISTINCT FROM 'ready'
    RETURNING picked.id AS attempt_id, t.fence, t.key, t.agent, t.definition,
              t.definition_hash, t.scoped,
              t.attempts_count, t.attempts_forgiven
)
UPDATE agentsys_orchestration_attempt a
SET state = 'running', fence = taken.fence, owner = %(owner)s::bigint, publish_due_at = NULL,
    lease_until = %(now)s::timestamptz + make_interval(secs => %(lease)s::float8),
    started_at = COALESCE(a.started_at, %(now)s::timestamptz)
FROM taken WHERE a.id = taken.attempt_id AND a.state IS NOT DISTINCT FROM 'queued'
RETURNING a.id, a.task_id, a.number, a.lineage, a.fence, a.lane, taken.key, taken.agent,
          taken.definition, taken.definition_hash, taken.scoped,
          taken.attempts_count - taken.attempts_forgiven
"""
_CLAIM_LANE, _CLAIM_TASK = _CLAIM.format(pick=_PICK_LANE), _CLAIM.format(pick=_PICK_TASK)

# Dependents of tasks that have just come to their end. `expands` ones stay blocked until `advance`
# has put their children in; the rest become ready and get their attempt in the same statement.
_COUNT_DOWN = """
freed AS (
    SELECT d.task_id, count(*) AS n FROM agentsys_orchestration_dependency d
    WHERE d.needs_id = ANY({ended}) GROUP BY d.task_id
    HAVING (count(*) > 0) IS NOT DISTINCT FROM true
), counted AS (
    UPDATE agentsys_orchestration_task t
    SET unmet = t.unmet - freed.n,
        state = CASE WHEN t.unmet = freed.n AND NOT t.expands THEN 'ready' ELSE t.state END,
        attempts_count = t.attempts_count + (t.unmet = freed.n AND NOT t.expands)::int
    FROM freed WHERE t.id = freed.task_id AND t.state IS NOT DISTINCT FROM 'blocked'
    RETURNING t.id, t.state, t.unmet, t.expands, t.lane, t.priority, t.attempts_count, t.fence
), queued AS (
    INSERT INTO agentsys_orchestration_attempt
        (task_id, goal_id, number, lineage, lane, priority, fence, state, publish_due_at,
         publishes, note, artifact_hash, base, tokens, cost_usd, reason)
    SELECT c.id, %(goal)s::bigint, c.attempts_count, 't' || c.id || '.' || c.attempts_count,
           c.lane, c.priority, c.fence, 'queued',
           %(now)s::timestamptz + make_interval(secs => %(republish)s::float8),
           0, '', '', '', 0, 0, ''
    FROM counted c WHERE c.state = 'ready'
)
"""

# The ledger's entries are prepared in the belief that every item moves, and written only when it did.
_ALL_MOVED = "(SELECT count(*) FROM done) = %(count)s::bigint"

_ACCEPT = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(items)s::jsonb)
        AS g(id bigint, fence bigint, report jsonb, hash text, tokens bigint, cost numeric)
    WHERE (g.id > 0) IS NOT DISTINCT FROM true
), accepted AS (
    UPDATE agentsys_orchestration_attempt a
    SET state = 'accepted', report = COALESCE(given.report, a.report),
        artifact_hash = given.hash,
        tokens = a.tokens + given.tokens, cost_usd = a.cost_usd + given.cost,
        reported_at = COALESCE(a.reported_at, %(now)s::timestamptz),
        finished_at = %(now)s::timestamptz, lease_until = NULL, progress = 1
    FROM given
    WHERE a.id = given.id AND a.fence = given.fence
      AND (a.state IN ('running', 'reported')) IS TRUE
      AND a.goal_id IS NOT DISTINCT FROM %(goal)s::bigint
    RETURNING a.id, a.task_id, a.fence
), done AS (
    UPDATE agentsys_orchestration_task t
    SET state = 'done', finished_at = %(now)s::timestamptz, accepted_attempt_id = accepted.id,
        reason = ''
    FROM accepted
    WHERE t.id = accepted.task_id AND t.fence = accepted.fence
      AND (t.state IN ('running', 'verifying', 'held')) IS TRUE
    RETURNING t.id, accepted.id AS attempt_id, t.scoped
), released AS (
    DELETE FROM agentsys_orchestration_scopelease
    WHERE task_id IN (SELECT id FROM done WHERE scoped)
), spoken AS ({INSERT_OF_ACCEPTED}), {_COUNT_DOWN.format(ended="ARRAY(SELECT id FROM done)")},
appended AS ({ENTRIES_INSERT.format(when=_ALL_MOVED)}),
headed AS ({HEAD_UPDATE.format(when=_ALL_MOVED)})
SELECT id, 'done', attempt_id, '', false FROM done
UNION ALL
SELECT id, state, fence, lane, expands AND unmet = 0 FROM counted
"""  # noqa: S608 - put together from statements of our own

_UNLOCK = f"""
WITH {_COUNT_DOWN.format(ended="%(ended)s::bigint[]")}
SELECT id, state, fence, lane, expands AND unmet = 0 FROM counted
"""  # noqa: S608

_QUEUE_AGAIN = """
WITH next AS (
    UPDATE agentsys_orchestration_task t SET attempts_count = t.attempts_count + 1
    WHERE t.id = ANY(%(tasks)s) AND t.state = 'ready'
    RETURNING t.id, t.lane, t.priority, t.attempts_count, t.fence, t.due_at
)
INSERT INTO agentsys_orchestration_attempt
    (task_id, goal_id, number, lineage, lane, priority, fence, state, publish_due_at, publishes,
     note, artifact_hash, base, tokens, cost_usd, reason)
SELECT n.id, %(goal)s, n.attempts_count,
       COALESCE(%(lineage)s, 't' || n.id || '.' || n.attempts_count), n.lane, n.priority, n.fence,
       'queued', COALESCE(n.due_at, %(now)s + make_interval(secs => %(republish)s)),
       0, '', '', '', 0, 0, ''
FROM next n RETURNING id, task_id
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt that this worker now holds, with what is needed to brief its agent."""

    attempt_id: int
    task_id: int
    number: int
    lineage: str
    fence: int
    lane: str
    key: str
    agent: str
    definition: dict[str, Any]
    definition_hash: str
    scoped: bool
    attempts_count: int  # those that count against the task's patience


@dataclass(frozen=True, slots=True)
class Accepted:
    """A report that counts. `report` None keeps what the row already has."""

    task_id: int
    attempt_id: int
    fence: int
    artifact_hash: str
    report: str | None = None
    tokens: int = 0
    cost_usd: float = 0.0
    actor: str = "verifiers"
    why: Mapping[str, Any] = field(default_factory=dict)  # for the ledger: verdicts and the like

    @property
    def facts(self) -> dict[str, Any]:
        return {"fence": self.fence, "artifact_hash": self.artifact_hash, **self.why}


@dataclass(frozen=True, slots=True)
class Unlocked:
    """What became possible: (task id, fence) of ready tasks by lane, and fan-outs to expand."""

    agents: tuple[tuple[int, int], ...] = ()
    cheap: tuple[int, ...] = ()
    expandable: tuple[int, ...] = ()

    def __add__(self, other: Unlocked) -> Unlocked:
        return Unlocked(
            self.agents + other.agents,
            self.cheap + other.cheap,
            self.expandable + other.expandable,
        )


def goal_next(lane: str) -> int | None:
    """The goal whose turn it is in `lane`, or None when nothing is ready."""
    with connection.cursor() as cursor:
        for statement in (_NEXT_FREE_GOAL, _NEXT_GOAL):
            cursor.execute(statement, [lane])
            if row := cursor.fetchone():
                return int(row[0])
    return None


def claim(
    book: Book,
    *,
    owner: int,
    lease_seconds: float,
    lane: str | None = None,
    task_id: int | None = None,
    fence: int | None = None,
    limit: int = 1,
) -> list[Claimed]:
    """Take up to `limit` ready tasks of a lane, or the one task named, with lease and fence.

    A task that a worker was lost with is taken alone, when no other is ready: if it kills the next
    one, too, it takes no other task with it.

    Finds nothing when the goal is paused or over, when somebody else was faster, or when the
    message is stale (its `fence` is no longer the task's): the caller then does nothing.
    """
    if book.goal_state != "running" or book.paused_at is not None or limit <= 0:
        return []
    values = {"goal": book.goal_id, "now": book.now, "owner": owner, "lease": lease_seconds}
    if task_id is None:
        of_lane = {**values, "lane": lane}
        rows = fetch(_CLAIM_LANE, {**of_lane, "limit": limit, "suspect": False})
        rows = rows or fetch(_CLAIM_LANE, {**of_lane, "limit": 1, "suspect": True})
    else:
        rows = fetch(_CLAIM_TASK, {**values, "task": task_id, "fence": fence})
    claimed = sorted((_claimed(row) for row in rows), key=lambda c: c.attempt_id)
    if claimed:
        book.served = True
        book.record(
            "tasks.claimed",
            actor=f"worker-{owner}",
            payload={"claims": [[c.task_id, c.attempt_id, c.fence] for c in claimed]},
        )
    return claimed


def accept(
    book: Book,
    items: Sequence[Accepted],
    verdicts: Sequence[VerdictRow] = (),
    *,
    republish_seconds: float,
) -> tuple[dict[int, int], Unlocked]:
    """Attempts that are accepted, with `verdicts` on them, their tasks done, what that unlocks, and
    the ledger's entries of it.

    Returns task id → attempt id of those moved. An attempt whose fence is no longer its task's
    does not move, and neither does its task.
    """
    if not items:
        return {}, Unlocked()
    _record_accepted(book, items)
    entries = book.to_append()
    rows = fetch(
        _ACCEPT,
        {
            **entries,
            "count": len(items),
            "items": f"[{','.join(map(_as_json, items))}]",
            "verdicts": verdicts_json(verdicts),
            "republish": republish_seconds,
        },
    )
    done = {row[0]: row[2] for row in rows if row[1] == "done"}
    if len(done) == len(items):
        book.appended(entries)
    else:
        book.forget(len(items))
        _record_accepted(book, [item for item in items if item.task_id in done])
    return dict(sorted(done.items())), _unlocked(book, [r for r in rows if r[1] != "done"])


def _record_accepted(book: Book, items: Sequence[Accepted]) -> None:
    for item in items:
        book.record(
            "task.accepted",
            actor=item.actor,
            task_id=item.task_id,
            attempt_id=item.attempt_id,
            payload=item.facts,
        )


def _as_json(item: Accepted) -> str:
    """By hand, since the report is JSON already. What is not given keeps what the row has."""
    report = "" if item.report is None else f',"report":{item.report}'
    return (
        f'{{"id":{item.attempt_id},"fence":{item.fence},"hash":"{item.artifact_hash}",'
        f'"tokens":{item.tokens},"cost":{item.cost_usd:.6f}{report}}}'
    )


def unlock(book: Book, ended: Sequence[int], *, republish_seconds: float) -> Unlocked:
    """Count down the dependents of `ended` tasks; queue those that became ready."""
    if not ended:
        return Unlocked()
    values = {"goal": book.goal_id, "now": book.now, "republish": republish_seconds}
    return _unlocked(book, fetch(_UNLOCK, {**values, "ended": list(ended)}))


def _unlocked(book: Book, rows: Sequence[tuple[Any, ...]]) -> Unlocked:
    """Rows are (task id, state, fence, lane, whether it can now be expanded)."""
    rows = sorted(rows)
    ready = [row for row in rows if row[1] == "ready"]
    if ready:
        book.record(
            "tasks.unblocked", actor="orchestrator", payload={"tasks": [row[0] for row in ready]}
        )
    return Unlocked(
        agents=tuple((row[0], row[2]) for row in ready if row[3] == "agent"),
        cheap=tuple(row[0] for row in ready if row[3] == "cheap"),
        expandable=tuple(row[0] for row in rows if row[4]),
    )


def queue_again(
    book: Book, task_ids: Sequence[int], *, republish_seconds: float, lineage: str | None = None
) -> dict[int, int]:
    """A new queued attempt for each ready task; returns task id → attempt id.

    With `lineage` the new attempt continues that journal (its forerunner was lost); without, it
    starts a fresh one.
    """
    if not task_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            _QUEUE_AGAIN,
            {
                "tasks": list(task_ids),
                "goal": book.goal_id,
                "now": book.now,
                "republish": republish_seconds,
                "lineage": lineage,
            },
        )
        return {task_id: attempt_id for attempt_id, task_id in cursor.fetchall()}


def _claimed(row: tuple[Any, ...]) -> Claimed:
    values = [*row]
    values[8] = _json(row[8])
    return Claimed(*values)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
