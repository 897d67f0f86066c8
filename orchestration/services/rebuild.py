"""Does folding a goal's ledger give its tables? Reads one moment, changes nothing.

Everything is read in one repeatable-read transaction, so a goal may be checked while workers are
busy with it. What the fold knows and what it cannot know is in `domain.fold`; that the
tasks are those of the plan is told by the plan's document, whose hash is in the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Count

from agentsys.kernel.errors import NotFound
from agentsys.kernel.hashing import digest
from orchestration.domain.chain import Entry
from orchestration.domain.fold import Folded, FoldedAttempt, FoldedTask, fold
from orchestration.models import ApprovalRequest, Attempt, Goal, LedgerEntry, Plan, Proposal, Task

ENTRIES_AT_ONCE = 2000


class TaskRow(NamedTuple):
    id: int
    key: str
    state: str
    fence: int
    attempts_count: int
    accepted: int | None
    scoped: bool


class AttemptRow(NamedTuple):
    id: int
    task_id: int
    number: int
    state: str
    fence: int


def rebuild_check(goal_id: int) -> list[str]:
    """Where tables and ledger differ, in words; [] when folding the ledger gives the tables.

    Called inside a transaction it sees what that transaction sees. NotFound when there is no such
    goal.
    """
    with _one_moment():
        goal = Goal.objects.filter(pk=goal_id).first()
        if goal is None:
            raise NotFound(kind="goal", id=goal_id, listing="goals list")
        folded = fold(_entries(goal_id))
        return [
            *folded.problems,
            *_of_goal(goal, folded),
            *_of_plans(goal_id, folded),
            *_of_tasks(goal_id, folded),
            *_of_proposals(goal_id, folded),
            *_of_approvals(goal_id, folded),
        ]


@contextmanager
def _one_moment() -> Iterator[None]:
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _entries(goal_id: int) -> Iterator[Entry]:
    rows = LedgerEntry.objects.filter(goal_id=goal_id).order_by("seq")
    columns = ("goal_id", "seq", "event", "actor", "at", "payload", "task_id", "attempt_id")
    return (Entry(*row) for row in rows.values_list(*columns).iterator(ENTRIES_AT_ONCE))


def _of_goal(goal: Goal, folded: Folded) -> Iterator[str]:
    paused = goal.paused_at is not None
    yield from _differ("the goal", "is", goal.state, folded.state)
    if paused != folded.paused:
        yield from _differ("the goal", "is", _pause(paused), _pause(folded.paused))
    if folded.priority is not None:
        yield from _differ("the goal", "has priority", goal.priority, folded.priority)
    for column, value in folded.steered.items():
        yield from _differ("the goal", f"has {column}", getattr(goal, column), value)


def _pause(paused: bool) -> str:
    return "paused" if paused else "not paused"


def _of_plans(goal_id: int, folded: Folded) -> Iterator[str]:
    """Each plan is the one that was accepted, byte by byte, and its tasks have its keys."""
    plans = {plan.version: plan for plan in Plan.objects.filter(goal_id=goal_id)}
    tasks = Task.objects.filter(goal_id=goal_id).values_list("pk", "key", "plan__version")
    rows = {pk: (key, version) for pk, key, version in tasks}
    keys = {key for key, _ in rows.values()}
    for said in folded.plans:
        plan = plans.get(said.version)
        if plan is None:
            yield f"plan {said.version} is in the ledger, and there is no such row"
            continue
        if said.hash is not None:
            yield from _differ(
                f"plan {plan.version}", "has the hash", digest(plan.document), said.hash
            )
        wanted = [task["key"] for task in plan.document["tasks"]]
        for key in sorted(set(wanted) - keys):
            yield f"{key} is in plan {plan.version}, and there is no such task"
        for task_id, key in zip(said.tasks or (), wanted, strict=False):
            if task_id in rows:
                yield from _differ(f"task-{task_id}", "has the key", rows[task_id][0], key)
    documents = {
        version: {task["key"] for task in plan.document["tasks"]} for version, plan in plans.items()
    }
    for task_id, (key, version) in sorted(rows.items()):
        if key not in documents[version]:
            yield f"task-{task_id} ({key}) is not in the document of plan {version}"


def _of_tasks(goal_id: int, folded: Folded) -> Iterator[str]:
    rows = {row.id: row for row in _task_rows(goal_id)}
    attempts = _attempt_rows(goal_id)
    for task_id in sorted(rows.keys() | folded.tasks.keys()):
        row, task = rows.get(task_id), folded.tasks.get(task_id)
        if row is None:
            yield f"task-{task_id} is in the ledger, and there is no such row"
        elif task is not None:
            yield from _of_task(row, attempts.get(task_id, {}), task, folded.unplaced)
        elif folded.knows_all_tasks:
            yield f"task-{task_id} ({row.key}) is in no entry of the ledger"
        else:  # an older ledger names a task only once something happens to it
            yield from _of_task(row, attempts.get(task_id, {}), FoldedTask(task_id), set())


def _task_rows(goal_id: int) -> Iterable[TaskRow]:
    columns = ("pk", "key", "state", "fence", "attempts_count", "accepted_attempt_id", "scoped")
    return map(TaskRow._make, Task.objects.filter(goal_id=goal_id).values_list(*columns))


def _attempt_rows(goal_id: int) -> Mapping[int, Mapping[int, AttemptRow]]:
    """Task id → number → row."""
    found: dict[int, dict[int, AttemptRow]] = defaultdict(dict)
    columns = ("pk", "task_id", "number", "state", "fence")
    for row in map(AttemptRow._make, Attempt.objects.filter(goal_id=goal_id).values_list(*columns)):
        found[row.task_id][row.number] = row
    return found


def _of_task(
    row: TaskRow, attempts: Mapping[int, AttemptRow], task: FoldedTask, unplaced: Set[int]
) -> Iterator[str]:
    what = f"task-{row.id} ({row.key})"
    yield from _differ(what, "is", row.state, task.state)
    yield from _differ(what, "has the accepted attempt", row.accepted, task.accepted)
    yield from _differ(what, "counts attempts:", row.attempts_count, len(task.attempts))
    claimed = row.state in ("running", "verifying", "done")
    if claimed or not row.scoped or row.fence < task.fence:
        yield from _differ(what, "has fence", row.fence, task.fence)
    folded = {attempt.number: attempt for attempt in task.attempts}
    for number in sorted(attempts.keys() | folded.keys()):
        found, said = attempts.get(number), folded.get(number)
        if found is None:
            yield f"attempt number {number} of {what} is in the ledger, and there is no such row"
        elif said is None:
            yield f"attempt-{found.id} of {what} is in no entry of the ledger"
        elif found.id not in unplaced:
            yield from _of_attempt(found, said, scoped=row.scoped)


def _of_attempt(row: AttemptRow, attempt: FoldedAttempt, *, scoped: bool) -> Iterator[str]:
    what = f"attempt-{row.id}"
    yield from _differ(what, "is", row.state, attempt.state)
    if attempt.id is not None:
        yield from _differ(f"attempt number {row.number} of task-{row.task_id}", "has the id",
                           row.id, attempt.id)  # fmt: skip
    claimed = row.state not in ("queued", "cancelled")
    if claimed or not scoped or row.fence < attempt.fence:
        yield from _differ(what, "has fence", row.fence, attempt.fence)


def _of_proposals(goal_id: int, folded: Folded) -> Iterator[str]:
    rows = Proposal.objects.filter(goal_id=goal_id).values_list("pk", "state", "payload_hash")
    found = {pk: (state, hashed) for pk, state, hashed in rows}
    yield from _missing("proposal", found.keys(), folded.proposals.keys())
    for pk in sorted(found.keys() & folded.proposals.keys()):
        (state, hashed), proposal = found[pk], folded.proposals[pk]
        yield from _differ(f"proposal-{pk}", "is", state, proposal.state)
        yield from _differ(f"proposal-{pk}", "has the hash", hashed, proposal.hash)


def _of_approvals(goal_id: int, folded: Folded) -> Iterator[str]:
    rows = (
        ApprovalRequest.objects.filter(goal_id=goal_id)
        .annotate(decided=Count("decisions"))
        .values_list("pk", "kind", "state", "action_hash", "decided")
    )
    found = {row[0]: row[1:] for row in rows}
    yield from _missing("approval", found.keys(), folded.approvals.keys())
    for pk in sorted(found.keys() & folded.approvals.keys()):
        (kind, state, action_hash, decisions), approval = found[pk], folded.approvals[pk]
        what = f"approval-{pk}"
        yield from _differ(what, "is of kind", kind, approval.kind)
        yield from _differ(what, "is", state, approval.state)
        yield from _differ(what, "counts decisions:", decisions, approval.decisions)
        if approval.action_hash is not None:
            yield from _differ(what, "is bound to", action_hash, approval.action_hash)


def _missing(kind: str, rows: Iterable[int], folded: Iterable[int]) -> Iterator[str]:
    there, said = set(rows), set(folded)
    for pk in sorted(there - said):
        yield f"{kind}-{pk} is in no entry of the ledger"
    for pk in sorted(said - there):
        yield f"{kind}-{pk} is in the ledger, and there is no such row"


def _differ(what: str, verb: str, row: object, said: object) -> Iterator[str]:
    if row != said:
        yield f"{what} {verb} {_word(row)}; its ledger says {_word(said)}"


def _word(value: object) -> str:
    return "none" if value is None else str(value)
