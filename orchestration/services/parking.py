"""Work that waits for a budget: it is held, a person is asked, and what is granted lets it go on.

The question names the limit: of which thing, of what kind, what is spent and what is asked. To
approve doubles the limit (or makes room for what is asked, where that is more); to edit names the
new ones (`{"tokens_max": 50000}`); to reject ends the task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.db import connection

from agentsys.kernel.errors import BadInput
from orchestration.domain.lives import AttemptEvent, TaskEvent
from orchestration.models import ApprovalRequest, Attempt, Budget, Task
from orchestration.services.budgets import BUDGET, MADE, Shortage, exceeded, shortage_of
from orchestration.services.ending import task_fail, task_retry
from orchestration.services.followups import Followups
from orchestration.services.hotpath import Unlocked
from orchestration.services.ledger import Book, goal_locked
from orchestration.services.limits import KINDS, limits_checked, limits_move, limits_of
from orchestration.services.moves import attempts_move, tasks_move
from orchestration.services.pausing import budget_granted
from orchestration.services.requests import request_open

ALLOWED = ("approve", "edit", "respond", "reject")

_ATTEMPTS_SHORT = f"""
WITH RECURSIVE up AS (
    SELECT id, parent_id FROM agentsys_orchestration_task WHERE id = %(task)s
    UNION ALL
    SELECT t.id, t.parent_id FROM agentsys_orchestration_task t JOIN up ON t.id = up.parent_id
), limited AS (
    SELECT b.* FROM {BUDGET} b
    WHERE (b.goal_id = %(goal)s OR b.task_id IN (SELECT id FROM up)) AND b.attempts_max IS NOT NULL
), counted AS (
    SELECT c.*, {MADE} AS made FROM limited c
)
SELECT id, project_id, goal_id, task_id, 'attempts', attempts_max::float8, made::float8, 0::float8,
       1::float8
FROM counted WHERE made + 1 > attempts_max ORDER BY goal_id NULLS LAST, task_id LIMIT 1
"""  # noqa: S608 - put together from statements of our own


def attempts_park(book: Book, task: Task, reason: str, *, lineage: str | None) -> bool:
    """Hold a task whose next attempt no budget has room for, and ask; False when there is room.

    `lineage` is the journal that the next attempt goes on with.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ATTEMPTS_SHORT, {"task": task.pk, "goal": book.goal_id})
        row = cursor.fetchone()
    if row is None:
        return False
    short = shortage_of(row)
    moved = tasks_move(book, [task.pk], TaskEvent.HELD)
    if moved:
        said = f"{exceeded(short, book.goal_id)}. The last attempt: {reason}"
        budget_ask(book, task, None, said, {**facts_of(short), "lineage": lineage})
    return True


def facts_of(short: Shortage) -> dict[str, Any]:
    """The numbers that a question about more is bound to."""
    facts = exceeded(short, 0).context
    return {name: value for name, value in facts.items() if name != "goal_id"}


def budget_ask(
    book: Book, task: Task, attempt_id: int | None, text: str, facts: Mapping[str, Any]
) -> ApprovalRequest:
    """Ask for more. The task is held already."""
    Task.objects.filter(pk=task.pk).update(reason=f"waits for budget: {text}"[:2000])
    names = ("budget", "level", "ref", "kind", "most", "used", "reserved", "asked", "lineage")
    return request_open(
        book,
        kind="budget",
        question=text,
        context={name: facts[name] for name in names if name in facts},
        risk="write",
        task_id=task.pk,
        attempt_id=attempt_id,
        allowed=ALLOWED if "budget" in facts else ("approve", "respond", "reject"),
        definition=task.definition,
    )


def budget_answered(
    book: Book,
    request: ApprovalRequest,
    decision: str,
    *,
    actor: str,
    reason: str,
    payload: Mapping[str, Any] | None,
    after: Followups,
) -> None:
    """Act on a decision about a request of kind `budget`. BadInput for limits that are none."""
    if decision == "reject" and request.task_id is not None:
        ended = [request.attempt_id] if request.attempt_id else []
        attempts_move(book, ended, AttemptEvent.CANCELLED, actor=actor)
        said = f"no more budget, says {actor}: {reason}"
        task_fail(book, request.task_id, reason=said, after=after, actor=actor)
        return
    budget = Budget.objects.filter(pk=request.context.get("budget")).first()
    if budget is not None and decision in ("approve", "edit"):
        edited = payload if decision == "edit" else None
        stood_still = request.task_id is None  # the goal, and its clock with it
        waited = 0.0 if stood_still else (book.now - request.created_at).total_seconds()
        wanted = _granted(budget, request, edited, waited)
        limits_move(book, budget, wanted, actor=actor, why={"approval": request.pk})
    _resume(book, request, actor=actor, after=after)
    if budget is not None:
        _others_resume(book, budget.pk, actor=actor, after=after)


def _granted(
    budget: Budget,
    request: ApprovalRequest,
    payload: Mapping[str, Any] | None,
    waited_seconds: float,
) -> dict[str, Any]:
    facts = request.context
    kind, most = facts["kind"], facts["most"]
    if payload:
        what = f"approval-{request.pk}"
        return _with_room(limits_checked(payload, level=facts["level"], what=what), facts, what)
    now = limits_of(budget)[kind]
    if now is None or now > most:  # somebody has raised it meanwhile: once is enough
        return {kind: now}
    needed = facts["used"] + facts["reserved"] + facts["asked"]
    if kind == "seconds":  # the clock went on while nobody decided
        needed = math.ceil(needed + waited_seconds + most)
    return {kind: KINDS[kind](max(2 * most, needed))}


def _with_room(wanted: dict[str, Any], facts: Mapping[str, Any], what: str) -> dict[str, Any]:
    """BadInput when these limits leave what was asked for without room: it would only ask again."""
    kind, needed = facts["kind"], facts["used"] + facts["reserved"] + facts["asked"]
    limit = wanted.get(kind, facts["most"])
    if limit is None or limit > needed or (limit == needed and facts["asked"]):
        return wanted
    used, more = facts["used"] + facts["reserved"], ""
    if facts["asked"]:
        more = f", and {facts['asked']:g} more are asked for"
    enough = math.ceil(2 * needed)
    problem = (
        f"{kind} would be {limit:g}, of which {round(used, 4):g} are used{more}; name more, such as"
        f' {{"{kind}": {enough}}}, or reject'
    )
    raise BadInput(what=what, problems=[problem])


def task_resume(
    book: Book, task_id: int, *, actor: str, after: Followups, lineage: str | None = None
) -> bool:
    """A held task goes on: its waiting attempt is published, or a new one begins."""
    waiting = Attempt.objects.filter(task_id=task_id, state="queued")
    if not waiting.exists():
        return task_retry(
            book,
            task_id,
            reason="",
            delay_seconds=0.0,
            after=after,
            event=TaskEvent.RESUMED,
            forgiven=lineage is not None,
            lineage=lineage,
        )
    moved = tasks_move(book, [task_id], TaskEvent.RESUMED, actor=actor, fields={"reason": ""})
    if moved:
        waiting.update(publish_due_at=book.now)
        task = Task.objects.get(pk=task_id)
        ready = Unlocked(agents=((task_id, task.fence),))
        after.unlocked += ready if task.lane == "agent" else Unlocked(cheap=(task_id,))
    return bool(moved)


def parked_resume(budget_id: int, *, actor: str) -> None:
    """All that waited for a budget tries again, goal by goal; what still has no room asks anew."""
    open_requests = ApprovalRequest.objects.filter(
        kind="budget", state="open", context__budget=budget_id
    )
    for goal_id in sorted(set(open_requests.values_list("goal_id", flat=True))):
        after = Followups()
        with goal_locked(goal_id) as book:
            _others_resume(book, budget_id, actor=actor, after=after)
        after.publish(goal_id)


def _others_resume(book: Book, budget_id: int, *, actor: str, after: Followups) -> None:
    """Requests of this goal that asked for the same are answered by what was granted."""
    requests = ApprovalRequest.objects.filter(
        goal_id=book.goal_id, kind="budget", state="open", context__budget=budget_id
    )
    for request in requests.order_by("pk"):
        ApprovalRequest.objects.filter(pk=request.pk).update(state="withdrawn", decided_at=book.now)
        book.record(
            "approval.withdrawn",
            actor=actor,
            task_id=request.task_id,
            payload={"approval": request.pk, "why": "the budget was raised"},
        )
        _resume(book, request, actor=actor, after=after)


def _resume(book: Book, request: ApprovalRequest, *, actor: str, after: Followups) -> None:
    if request.task_id is None:
        budget_granted(book, actor=actor)
    else:
        lineage = request.context.get("lineage")
        task_resume(book, request.task_id, actor=actor, after=after, lineage=lineage)
