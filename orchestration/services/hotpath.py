"""Claim and settle: the path that every task goes through, set-based and by hand.

Guaranteed:
- *One attempt acts.* A claim moves task and attempt together, raises the task's fence by one and
  puts owner and lease on the attempt. Settling moves only attempts that are still `running` (or
  `reported`, when verdicts came later) under the very fence they were claimed with.
- *Nothing is unlocked twice or missed.* `unmet` goes down in the transaction that moves the
  dependency to its end, once, under the goal's lock; whoever brings it to zero makes the task
  ready and queues its attempt in the same statement.
- *A queued attempt is its own outbox.* It is born with `publish_due_at`; a message is sent after
  the commit, and the sweep sends another whenever that time passes unclaimed.

All functions take the open `Book` of a locked goal, but for `accept_alone`, which takes the goal's
lock in the statement itself. The statements are in `services.statements`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from agentsys.kernel.hashing import canonical
from agentsys.prepared import fetch
from orchestration.services import statements
from orchestration.services.ledger import Book
from verification.services import VerdictRow, verdicts_json

ALONE_TRIES = 3  # of `accept_alone`, when others change the goal meanwhile


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
        for statement in (statements.NEXT_FREE_GOAL, statements.NEXT_GOAL):
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

    Finds nothing when the goal is paused or over, when as many of it run as may, when somebody else
    was faster, or when the message is stale (its `fence` is no longer the task's): the caller then
    does nothing.
    """
    if book.goal_state != "running" or book.paused_at is not None:
        return []
    limit = _room(book, limit)
    if limit <= 0:
        return []
    values = {**book.to_append(), "owner": owner, "lease": lease_seconds}
    if task_id is None:
        of_lane = {**values, "lane": lane}
        rows = fetch(statements.CLAIM_LANE, {**of_lane, "limit": limit, "suspect": False})
        rows = rows or fetch(statements.CLAIM_LANE, {**of_lane, "limit": 1, "suspect": True})
    else:
        rows = fetch(statements.CLAIM_TASK, {**values, "task": task_id, "fence": fence})
    if rows:
        book.appended(seq=book.seq + 1, head=rows[0][-1])  # what waited, and that they are claimed
    return sorted((_claimed(row[:-1]) for row in rows), key=lambda c: c.attempt_id)


def _room(book: Book, wanted: int) -> int:
    """How many of `wanted` may run beside what runs already."""
    if book.running_max is None:
        return wanted
    ((running,),) = fetch(statements.RUNNING, {"goal": book.goal_id})
    return min(wanted, book.running_max - int(running))


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
    mark = book.mark()
    _record_accepted(book, items)
    entries = book.to_append()
    rows = fetch(
        statements.ACCEPT,
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
        book.appended(seq=entries["seq"], head=entries["head"])
    else:
        book.back_to(mark)
        _record_accepted(book, [item for item in items if item.task_id in done])
    return dict(sorted(done.items())), _unlocked(book, [r for r in rows if r[1] != "done"])


def accept_alone(
    goal_id: int, item: Accepted, verdicts: Sequence[VerdictRow], *, republish_seconds: float
) -> Unlocked | None:
    """`accept` of one item in a transaction of its own, which is over when this returns; what that
    unlocks.

    None when nothing was written: others change the goal too often, or the item would not move.
    `accept` under the goal's lock then tells which.
    """
    values = {
        "goal": goal_id,
        "items": f"[{_as_json(item)}]",
        "verdicts": verdicts_json(verdicts),
        "republish": republish_seconds,
        "actor": item.actor,
        "payload": canonical(item.facts),
    }
    for _ in range(ALONE_TRIES):
        if rows := fetch(statements.ACCEPT_ALONE, values):
            return _unlocked_of(sorted(row for row in rows if row[1] != "done"))
    return None


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
    return _unlocked(book, fetch(statements.UNLOCK, {**values, "ended": list(ended)}))


def _unlocked(book: Book, rows: Sequence[tuple[Any, ...]]) -> Unlocked:
    """Rows are (task id, state, fence, lane, whether it can now be expanded)."""
    rows = sorted(rows)
    ready = [row[0] for row in rows if row[1] == "ready"]
    if ready:
        book.record("tasks.unblocked", actor="orchestrator", payload={"tasks": ready})
    return _unlocked_of(rows)


def _unlocked_of(rows: Sequence[tuple[Any, ...]]) -> Unlocked:
    ready = [row for row in rows if row[1] == "ready"]
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
            statements.QUEUE_AGAIN,
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
