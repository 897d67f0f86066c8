"""Why a thing is not running: one sentence, with what it was read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q
from django.utils import timezone

from orchestration.models import (
    ApprovalRequest,
    Attempt,
    Dependency,
    Goal,
    LedgerEntry,
    Proposal,
    ScopeLease,
    Task,
    WorkerSession,
)
from orchestration.services.progress import progress_of
from orchestration.services.reads import resolve
from orchestration.services.sessions import sessions_alive
from verification import services as verification


@dataclass(frozen=True, slots=True)
class Why:
    ref: str
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


def why(text: str) -> Why:
    """The answer for a goal, task, attempt, proposal or approval; NotFound for anything else."""
    ref, row = resolve(text)
    match row:
        case Goal():
            return Why(f"goal-{row.pk}", goal_sentence(row), {"state": row.state})
        case Task():
            return Why(f"task-{row.pk}", task_sentence(row), {"state": row.state})
        case Attempt():
            sentence = f"attempt {row.number} of {row.task.key} is {row.state}"
            rest = f": {row.reason}" if row.reason else f"; {task_sentence(row.task)}"
            return Why(str(ref), sentence + rest, {"state": row.state})
        case Proposal():
            return Why(str(ref), proposal_sentence(row), {"state": row.state})
        case ApprovalRequest():
            return Why(str(ref), request_sentence(row), {"state": row.state})
    return Why(str(ref), f"{ref} is {getattr(row, 'state', 'there')}")


def goal_sentence(goal: Goal) -> str:
    if goal.finished_at is not None:
        rest = f": {goal.reason}" if goal.reason else ""
        return f"goal-{goal.pk} {goal.state}{rest}"
    if goal.paused_at is not None:
        return f"goal-{goal.pk} is paused {_by_whom(goal.pk)}; `goals resume {goal.pk}` goes on"
    if goal.state == "planning":
        return f"goal-{goal.pk} waits for its planner" + _no_worker()
    if goal.state == "plan_review":
        return f"goal-{goal.pk} waits for a person to look at its plan{_inbox(goal_id=goal.pk)}"
    return _running_sentence(goal)


def _running_sentence(goal: Goal) -> str:
    seen = progress_of(goal.pk)
    done = f"{seen.done} of {seen.total} tasks are done"
    if seen.running or seen.verifying:
        return (
            f"goal-{goal.pk} is under way: {done}, {seen.running} running,"
            f" {seen.verifying} being verified"
        )
    if seen.ready:
        first = Task.objects.filter(goal=goal, state="ready").order_by("due_at", "pk").first()
        return f"goal-{goal.pk}: {done}; {task_sentence(first) if first else ''}"
    if seen.waiting:
        return f"goal-{goal.pk} waits for a person: {done}{_inbox(goal_id=goal.pk)}"
    return f"goal-{goal.pk}: {done}; the orchestrator will look at it within seconds" + _no_worker()


def task_sentence(task: Task) -> str:
    name = f"{task.goal_id}/{task.key}"
    goal = task.goal
    if goal.paused_at is not None and task.finished_at is None:
        return f"{name} is {task.state}; its goal is paused {_by_whom(goal.pk)}"
    match task.state:
        case "blocked":
            return f"{name} waits for {_needed(task)}"
        case "ready":
            return f"{name} {_ready(task)}"
        case "running":
            return f"{name} {_running(task)}"
        case "verifying":
            return f"{name} {_verifying(task)}"
        case "held":
            return (
                f"{name} is held: {task.reason or 'a person must decide'}{_inbox(task_id=task.pk)}"
            )
        case _:
            rest = f": {task.reason}" if task.reason else ""
            return f"{name} is {task.state}{rest}"


def _needed(task: Task) -> str:
    open_needs = (
        Dependency.objects.filter(task=task)
        .exclude(Q(needs__state="done") | Q(needs__state="failed", needs__optional=True))
        .order_by("needs_id")
    )
    names = [
        f"{key} ({state})" for key, state in open_needs.values_list("needs__key", "needs__state")
    ]
    if not names:
        return "the orchestrator, which will look at it within seconds" + _no_worker()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _ready(task: Task) -> str:
    if task.due_at is not None and task.due_at > timezone.now():
        seconds = (task.due_at - timezone.now()).total_seconds()
        return f"is tried again in {seconds:.0f} s, because {task.reason or 'it failed'}"
    if (
        task.scoped
        and task.reason
        and ScopeLease.objects.filter(space=task.goal.repository).exists()
    ):
        return f"is ready but {task.reason}"
    attempt = Attempt.objects.filter(task=task, state="queued").first()
    if attempt is None:
        return "is ready but has no queued attempt; run `fsck --repair`"
    since = (timezone.now() - attempt.created_at).total_seconds()
    sent = f"sent {attempt.publishes + 1} time{'s' if attempt.publishes else ''}"
    return f"is queued since {since:.0f} s ({sent}) until a worker has room" + _no_worker()


def _running(task: Task) -> str:
    attempt = Attempt.objects.filter(task=task, state="running").first()
    if attempt is None:
        return "is running"
    session = WorkerSession.objects.filter(pk=attempt.owner or 0).first()
    where = f"on {session}" if session else f"by worker {attempt.owner}"
    note = f"; {attempt.note}" if attempt.note else ""
    return f"is running {where} (attempt {attempt.number}){note}"


def _verifying(task: Task) -> str:
    attempt = Attempt.objects.filter(task=task, state="reported").first()
    if attempt is None:
        return "is being verified"
    waiting = [
        v.verifier for v in verification.verdicts_of([attempt.pk])[attempt.pk] if v.outcome is None
    ]
    if waiting:
        return f"waits for the verdict of {', '.join(waiting)}" + _no_worker()
    return task.reason or "has all its verdicts and is being settled"


def proposal_sentence(row: Proposal) -> str:
    match row.state:
        case "in_review":
            return f"proposal-{row.pk} waits for approval{_inbox(task_id=row.task_id)}"
        case "approved":
            return f"proposal-{row.pk} is approved and will be applied" + _no_worker()
        case _:
            return f"proposal-{row.pk} is {row.state}" + (f": {row.reason}" if row.reason else "")


def request_sentence(row: ApprovalRequest) -> str:
    if row.state != "open":
        return f"approval-{row.pk} is {row.state}"
    agreed = row.decisions.filter(decision__in=("approve", "edit")).count()
    due = f"; it expires at {row.due_at:%Y-%m-%d %H:%M} UTC" if row.due_at else ""
    return f"approval-{row.pk} has {agreed} of {row.quorum} approvals{due}: {row.question}"


def _inbox(*, task_id: int | None = None, goal_id: int | None = None) -> str:
    rows = ApprovalRequest.objects.filter(state="open")
    rows = rows.filter(task_id=task_id) if task_id else rows.filter(goal_id=goal_id or 0)
    row = rows.order_by("pk").first()
    if row is None:
        return ""
    due = f", until {row.due_at:%Y-%m-%d %H:%M} UTC" if row.due_at else ""
    return f" (approval-{row.pk}{due}; `inbox show {row.pk}`)"


def _by_whom(goal_id: int) -> str:
    entry = (
        LedgerEntry.objects.filter(goal_id=goal_id, event="goal.paused").order_by("-seq").first()
    )
    if entry is None:
        return "by nobody known"
    reason = entry.payload.get("reason")
    return f"by {entry.actor} since {entry.at:%H:%M:%S} UTC" + (f" ({reason})" if reason else "")


def _no_worker() -> str:
    if sessions_alive():
        return ""
    return "; no worker is running: start one with `make up`"
