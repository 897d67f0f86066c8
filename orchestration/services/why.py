"""Why a thing is not running: one sentence, with what it was read from.

A sentence names what is waited for and, where a person can do something about it, the command
that does it. `facts` holds the same for programs. Nothing is guessed: whether a worker is alive is
told by the advisory lock of its session, which PostgreSQL drops with the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from orchestration.models import (
    ApprovalRequest,
    Attempt,
    Dependency,
    Goal,
    LedgerEntry,
    Membership,
    Proposal,
    ScopeLease,
    Task,
    WorkerSession,
)
from orchestration.services.approvals import DECIDERS
from orchestration.services.progress import progress_of
from orchestration.services.reads import iso, resolve
from orchestration.services.sessions import sessions_alive
from verification import services as verification

NAMES_MAX = 20


@dataclass(frozen=True, slots=True)
class Why:
    """`ref` is the thing asked about, by its full name."""

    ref: str
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


def why(text: str) -> Why:
    """The answer for a goal, task, attempt, proposal or approval; NotFound for anything else."""
    ref, row = resolve(text)
    match row:
        case Goal():
            return Why(f"goal-{row.pk}", goal_sentence(row), _goal_facts(row))
        case Task():
            return Why(f"task-{row.pk}", task_sentence(row), _task_facts(row))
        case Attempt():
            sentence = f"attempt {row.number} of {row.task.key} is {row.state}"
            rest = f": {row.reason}" if row.reason else f"; {task_sentence(row.task)}"
            return Why(str(ref), sentence + rest, _task_facts(row.task) | {"state": row.state})
        case Proposal():
            asked = {"state": row.state, "approval": _open_request(task_id=row.task_id)}
            return Why(str(ref), proposal_sentence(row), asked)
        case ApprovalRequest():
            facts = {"state": row.state, "due_at": iso(row.due_at), "deciders": deciders(row.goal)}
            return Why(str(ref), request_sentence(row), facts)
    return Why(str(ref), f"{ref} is {getattr(row, 'state', 'there')}")


def _goal_facts(goal: Goal) -> dict[str, Any]:
    return {
        "state": goal.state,
        "paused": goal.paused_at is not None,
        "workers_alive": len(sessions_alive()),
        "approval": _open_request(goal_id=goal.pk),
        "progress": progress_of(goal.pk, finished_at=goal.finished_at).to_json(),
    }


def _task_facts(task: Task) -> dict[str, Any]:
    last = task.attempts.order_by("-number").first()
    return {
        "state": task.state,
        "goal_state": task.goal.state,
        "paused": task.goal.paused_at is not None,
        "due_at": iso(task.due_at),
        "reason": task.reason,
        "needs": list(_open_needs(task).values_list("needs__key", flat=True)[:NAMES_MAX]),
        "attempt": last.pk if last else None,
        "attempt_state": last.state if last else None,
        "publishes": last.publishes if last else 0,
        "approval": _open_request(task_id=task.pk),
        "workers_alive": len(sessions_alive()),
    }


def goal_sentence(goal: Goal) -> str:
    if goal.finished_at is not None:
        rest = f": {goal.reason}" if goal.reason else ""
        way = f"; `goals retry {goal.pk}` tries the failed tasks again"
        return f"goal-{goal.pk} {goal.state}{rest}{way if goal.state == 'failed' else ''}"
    if goal.paused_at is not None:
        return f"goal-{goal.pk} is paused {_by_whom(goal.pk)}; {_way_on(goal)}"
    if goal.state == "planning":
        return f"goal-{goal.pk} waits for its planner" + no_worker()
    if goal.state == "plan_review":
        return f"goal-{goal.pk} waits for a person to look at its plan{_inbox(goal_id=goal.pk)}"
    return _running_sentence(goal)


def _way_on(goal: Goal) -> str:
    match goal.paused_by:
        case "project":
            return f"its project is: `goals resume --project {goal.project.name}` goes on"
        case "everything":
            return "everything is: `goals resume --everything` goes on"
        case "deadline":
            asked = _inbox(goal_id=goal.pk)
            return f"its deadline has passed{asked}; `goals resume {goal.pk}` lifts the deadline"
        case _:
            return f"`goals resume {goal.pk}` goes on"


def _running_sentence(goal: Goal) -> str:
    seen = progress_of(goal.pk)
    done = f"{seen.done} of {seen.total} tasks are done"
    if seen.running or seen.verifying:
        return (
            f"goal-{goal.pk} is under way: {done}, {seen.running} running,"
            f" {seen.verifying} being verified" + no_worker()
        )
    if seen.ready:
        first = Task.objects.filter(goal=goal, state="ready").order_by("due_at", "pk").first()
        return f"goal-{goal.pk}: {done}; {task_sentence(first) if first else ''}"
    if seen.waiting:
        return f"goal-{goal.pk} waits for a person: {done}{_inbox(goal_id=goal.pk)}"
    return f"goal-{goal.pk}: {done}; the orchestrator will look at it within seconds" + no_worker()


def task_sentence(task: Task) -> str:
    name = f"{task.goal_id}/{task.key}"
    goal = task.goal
    if goal.paused_at is not None and task.finished_at is None:
        return f"{name} is {task.state}; its goal is paused {_by_whom(goal.pk)}"
    if task.paused_at is not None and task.finished_at is None:
        return f"{name} is {task.state} and paused {_by_whom(goal.pk, 'tasks.paused')}{_lift(task)}"
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


def _open_needs(task: Task) -> QuerySet[Dependency]:
    return (
        Dependency.objects.filter(task=task)
        .exclude(Q(needs__state="done") | Q(needs__state="failed", needs__optional=True))
        .order_by("needs_id")
    )


def _needed(task: Task) -> str:
    if task.goal.state == "plan_review":
        return f"a person to look at the plan{_inbox(goal_id=task.goal_id)}"
    rows = _open_needs(task).values_list("needs__key", "needs__state")
    names = [f"{key} ({state})" for key, state in rows]
    if not names:
        return "the orchestrator, which will look at it within seconds" + no_worker()
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _ready(task: Task) -> str:
    if task.due_at is not None and task.due_at > timezone.now():
        seconds = (task.due_at - timezone.now()).total_seconds()
        return f"is tried again in {seconds:.0f} s, because {task.reason or 'it failed'}"
    if scope_is_awaited(task):
        return f"is ready but {task.reason}"
    attempt = Attempt.objects.filter(task=task, state="queued").first()
    if attempt is None:
        return "is ready but has no queued attempt; run `fsck`"
    since = (timezone.now() - attempt.created_at).total_seconds()
    sent = f"published {attempt.publishes + 1} time{'s' if attempt.publishes else ''}"
    return f"is queued since {since:.0f} s ({sent}) until a worker has room" + no_worker()


def scope_is_awaited(task: Task) -> bool:
    """Was the task last refused for a scope that somebody still holds? A claim clears the reason."""
    held = ScopeLease.objects.filter(project_id=task.goal.project_id, space=task.goal.repository)
    return task.scoped and task.reason.startswith("waits for ") and held.exists()


def _running(task: Task) -> str:
    attempt = Attempt.objects.filter(task=task, state="running").first()
    if attempt is None:
        return "is running"
    session = WorkerSession.objects.filter(pk=attempt.owner or 0).first()
    where = f"on {session}" if session else f"by worker {attempt.owner}"
    since = f" since {attempt.started_at:%H:%M:%S} UTC" if attempt.started_at else ""
    note = f"; {attempt.note}" if attempt.note else ""
    gone = attempt.owner not in sessions_alive()
    lost = "; that worker is gone, and another takes over" + no_worker() if gone else ""
    return f"is running {where}{since} (attempt {attempt.number}){note}{lost}"


def _verifying(task: Task) -> str:
    attempt = Attempt.objects.filter(task=task, state="reported").first()
    if attempt is None:
        return "is being verified"
    waiting = [
        v.verifier for v in verification.verdicts_of([attempt.pk])[attempt.pk] if v.outcome is None
    ]
    if waiting:
        return f"waits for the verdict of {', '.join(waiting)}" + no_worker()
    return task.reason or "has all its verdicts and is being settled"


def proposal_sentence(row: Proposal) -> str:
    match row.state:
        case "in_review":
            return f"proposal-{row.pk} waits for approval{_inbox(task_id=row.task_id)}"
        case "approved" if ApprovalRequest.objects.filter(proposal=row, state="open").exists():
            asked = _inbox(task_id=row.task_id)
            return f"proposal-{row.pk} is in doubt: a person must say whether it happened{asked}"
        case "approved":
            return f"proposal-{row.pk} is approved and will be applied" + no_worker()
        case _:
            return f"proposal-{row.pk} is {row.state}" + (f": {row.reason}" if row.reason else "")


def request_sentence(row: ApprovalRequest) -> str:
    if row.state != "open":
        return f"approval-{row.pk} is {row.state}"
    agreed = row.decisions.filter(decision__in=("approve", "edit")).count()
    due = f"; it expires at {row.due_at:%Y-%m-%d %H:%M} UTC" if row.due_at else ""
    return (
        f"approval-{row.pk} has {agreed} of {row.quorum} approvals{due};"
        f" {_who(row.goal)}: {row.question}"
    )


def deciders(goal: Goal) -> list[str]:
    """Names of the members who may decide in the goal's project; administrators may as well."""
    members = Membership.objects.filter(project_id=goal.project_id, role__in=DECIDERS)
    names = members.filter(user__is_active=True).order_by("user__username")
    return list(names.values_list("user__username", flat=True)[:NAMES_MAX])


def _who(goal: Goal) -> str:
    names = deciders(goal)
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return f"{shown or 'any administrator'} may decide"


def _first_request(task_id: int | None, goal_id: int | None) -> ApprovalRequest | None:
    rows = ApprovalRequest.objects.filter(state="open").select_related("goal")
    if task_id is not None:
        rows = rows.filter(task_id=task_id)
    if goal_id is not None:
        rows = rows.filter(goal_id=goal_id)
    return rows.order_by("pk").first()


def _open_request(*, task_id: int | None = None, goal_id: int | None = None) -> int | None:
    row = _first_request(task_id, goal_id)
    return row.pk if row else None


def _inbox(*, task_id: int | None = None, goal_id: int | None = None) -> str:
    row = _first_request(task_id, goal_id)
    if row is None:
        return ""
    due = f", until {row.due_at:%Y-%m-%d %H:%M} UTC" if row.due_at else ""
    return f" (approval-{row.pk}{due}; {_who(row.goal)}; `inbox show {row.pk}`)"


def _lift(task: Task) -> str:
    return f"; `goals resume --task {task.goal_id}/{task.key}` goes on"


def _by_whom(goal_id: int, event: str = "goal.paused") -> str:
    entry = LedgerEntry.objects.filter(goal_id=goal_id, event=event).order_by("-seq").first()
    if entry is None:
        return "by nobody known"
    reason = entry.payload.get("reason")
    return f"by {entry.actor} since {entry.at:%H:%M:%S} UTC" + (f" ({reason})" if reason else "")


def no_worker() -> str:
    """The end of a sentence about something that waits for one; empty while one is alive."""
    if sessions_alive():
        return ""
    return "; no worker is running: start one with `make up`"
