"""The one place outside the hot path that writes a state: guarded, and with its ledger entry.

Each function moves the rows that are still in a state that the event may leave, and returns the
ids that moved. A row that did not move lost its race: its caller does nothing more with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from agentsys.kernel.errors import IllegalMove
from agentsys.kernel.machine import Machine
from memory import services as memory
from orchestration.domain.lives import (
    ATTEMPT,
    GOAL,
    PROPOSAL,
    TASK,
    AttemptEvent,
    GoalEvent,
    ProposalEvent,
    TaskEvent,
)
from orchestration.models import Attempt
from orchestration.services.budgets import reservations_release
from orchestration.services.ledger import Book

ORCHESTRATOR = "orchestrator"
WITHOUT_RESULT = (AttemptEvent.REJECTED, AttemptEvent.FAILED, AttemptEvent.CANCELLED)
TAKEN_AWAY = (AttemptEvent.LOST, AttemptEvent.CANCELLED)  # nobody may be left to settle its calls


def goal_move(
    book: Book,
    event: GoalEvent,
    *,
    actor: str,
    reason: str = "",
    payload: Mapping[str, Any] = {},
) -> bool:
    moved = _move(book, GOAL, [book.goal_id], event, {"reason": reason} if reason else {})
    if moved:
        book.goal_state = str(GOAL.moves[event].target)
        facts = {**payload, **({"reason": reason} if reason else {})}
        book.record(f"goal.{event}", actor=actor, payload=facts)
    return bool(moved)


def tasks_move(
    book: Book,
    task_ids: Iterable[int],
    event: TaskEvent,
    *,
    actor: str = ORCHESTRATOR,
    payload: Mapping[str, Any] = {},
    fields: Mapping[str, Any] = {},
) -> list[int]:
    """`fields` are columns to set with the move; `payload` goes into each entry."""
    moved = _move(book, TASK, list(task_ids), event, fields)
    for task_id in moved:
        book.record(f"task.{event}", actor=actor, task_id=task_id, payload=payload)
    return moved


def attempts_move(
    book: Book,
    attempt_ids: Iterable[int],
    event: AttemptEvent,
    *,
    actor: str = ORCHESTRATOR,
    payload: Mapping[str, Any] = {},
    fields: Mapping[str, Any] = {},
    fence: int | None = None,
) -> list[int]:
    moved = _move(book, ATTEMPT, list(attempt_ids), event, fields, fence=fence)
    rows = list(Attempt.objects.filter(pk__in=moved).values_list("pk", "task_id", "lineage"))
    tasks = {pk: task_id for pk, task_id, _ in rows}
    for attempt_id in moved:
        book.record(
            f"attempt.{event}",
            actor=actor,
            task_id=tasks[attempt_id],
            attempt_id=attempt_id,
            payload=payload,
        )
    if moved and event in TAKEN_AWAY:
        reservations_release(goal_id=book.goal_id)
    if moved and event in WITHOUT_RESULT:  # their notes mislead whoever reads them
        memory.blackboard_drop(book.goal_id, [lineage for _, _, lineage in rows])
    return moved


def proposals_move(
    book: Book,
    proposal_ids: Iterable[int],
    event: ProposalEvent,
    *,
    actor: str = ORCHESTRATOR,
    payload: Mapping[str, Any] = {},
    fields: Mapping[str, Any] = {},
) -> list[int]:
    moved = _move(book, PROPOSAL, list(proposal_ids), event, fields)
    for proposal_id in moved:
        facts = {**payload, "proposal": proposal_id}
        book.record(f"proposal.{event}", actor=actor, payload=facts)
    return moved


def _move(
    book: Book,
    machine: Machine,
    ids: Sequence[int],
    event: Any,
    fields: Mapping[str, Any],
    *,
    fence: int | None = None,
) -> list[int]:
    if not ids:
        return []
    step = machine.moves[event]
    sets: dict[str, Any] = {"state": str(step.target), **fields}
    overruled = machine is ATTEMPT and event in machine.revivals  # it ended when it did
    if machine is not PROPOSAL and not overruled:
        sets["finished_at"] = book.now if step.target in machine.terminal else None
    where = "id = ANY(%s) AND state = ANY(%s)"
    values: list[Any] = [*sets.values(), list(ids), sorted(str(s) for s in step.sources)]
    if machine is not GOAL:
        where += " AND goal_id = %s"
        values.append(book.goal_id)
    if fence is not None:
        where += " AND fence = %s"
        values.append(fence)
    assignments = ", ".join(f"{name} = %s" for name in sets)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE agentsys_orchestration_{machine.kind} SET {assignments}"  # noqa: S608
            f" WHERE {where} RETURNING id",
            values,
        )
        return sorted(row[0] for row in cursor.fetchall())


def goal_still_open(book: Book, what: str) -> None:
    """IllegalMove where the goal is over, with what is possible then."""
    if book.goal_state in GOAL.terminal:
        raise IllegalMove(
            kind=f"goal-{book.goal_id}",
            state=book.goal_state,
            event=what,
            allowed=["retry", "fork"] if book.goal_state == "failed" else ["fork"],
        )
