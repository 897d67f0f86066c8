"""Why a thing is not running: one sentence, out of one query.

A sentence names what is waited for and, where a person can do something about it, the command
that does it. `facts` holds the same for programs. Nothing is guessed: whether a worker is alive is
told by the advisory lock of its session, which PostgreSQL drops with the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from agentsys.kernel.ids import parse_ref
from orchestration.services.situation import NAMES_MAX, situation
from orchestration.services.swarm_views import swarm_sentence, swarms_progress


@dataclass(frozen=True, slots=True)
class Why:
    """`ref` is the thing asked about, by its full name."""

    ref: str
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


def why(text: str) -> Why:
    """The answer for a goal, task, attempt, proposal or approval; NotFound for anything else."""
    ref = parse_ref(text)
    seen = situation(ref)
    match ref.kind:
        case "task":
            return Why(f"task-{seen.task.id}", _task(seen), _task_facts(seen))
        case "attempt":
            one = seen.subject
            sentence = f"attempt {one.number} of {seen.task.key} is {one.state}"
            rest = f": {one.reason}" if one.reason else f"; {_task(seen)}"
            return Why(str(ref), sentence + rest, _task_facts(seen) | {"state": one.state})
        case "proposal":
            asked = {"state": seen.subject.state, "approval": _id(seen.task_approval)}
            return Why(str(ref), _proposal(seen), asked)
        case "approval":
            one = seen.subject
            facts = {"state": one.state, "due_at": one.due_at, "deciders": seen.deciders or []}
            return Why(str(ref), _request(seen), facts)
        case _:
            return Why(f"goal-{seen.goal.id}", _goal(seen), _goal_facts(seen))


def no_worker(*, alive: bool) -> str:
    """The end of a sentence about something that waits for one; empty while one is alive."""
    return "" if alive else "; no worker is running: start one with `make up`"


def _goal_facts(seen: SimpleNamespace) -> dict[str, Any]:
    return {
        "state": seen.goal.state,
        "paused": seen.goal.paused,
        "workers_alive": len(seen.alive or ()),
        "approval": _id(seen.approval),
        "tasks": _counts(seen),
    }


def _task_facts(seen: SimpleNamespace) -> dict[str, Any]:
    task, last = seen.task, seen.attempt
    return {
        "state": task.state,
        "goal_state": seen.goal.state,
        "paused": seen.goal.paused,
        "due_at": task.due_at,
        "reason": task.reason,
        "needs": [need.key for need in seen.needs or ()][:NAMES_MAX],
        "attempt": last.id if last else None,
        "attempt_state": last.state if last else None,
        "publishes": last.publishes if last else 0,
        "approval": _id(seen.task_approval),
        "workers_alive": len(seen.alive or ()),
    }


def _counts(seen: SimpleNamespace) -> dict[str, int]:
    return dict(sorted(vars(seen.counts).items())) if seen.counts else {}


def _id(row: SimpleNamespace | None) -> int | None:
    return row.id if row else None


def _goal(seen: SimpleNamespace) -> str:
    goal, name = seen.goal, f"goal-{seen.goal.id}"
    if goal.finished:
        comes = ", " if goal.state == "succeeded" else ": "
        said = goal.reason.removeprefix("failed: ") if goal.state == "failed" else goal.reason
        rest = f"{comes}{said}" if said else ""
        again = goal.state == "failed" and _counts(seen).get("failed")
        way = (
            f"; `goals retry {goal.id}` tries the failed tasks again; `goals edit {goal.id}/KEY` and"
            f" `goals override {goal.id}/KEY` on one let it go on, too"
            if again
            else ""
        )
        return f"{name} {goal.state}{rest}{way}"
    if goal.paused:
        return f"{name} is paused {_by_whom(seen.goal_paused)}; {_way_on(seen)}"
    if goal.state == "planning":
        return f"{name} waits for its planner" + _no_worker(seen)
    if goal.state == "plan_review":
        return f"{name} waits for a person to look at its plan{_inbox(seen, seen.approval)}"
    return _running_goal(seen, name)


def _way_on(seen: SimpleNamespace) -> str:
    goal = seen.goal
    match goal.paused_by:
        case "project":
            return f"its project is: `goals resume --project {goal.project}` goes on"
        case "everything":
            return "everything is: `goals resume --everything` goes on"
        case "deadline":
            asked = _inbox(seen, seen.approval)
            return f"its deadline has passed{asked}; `goals resume {goal.id}` lifts the deadline"
        case "budget":
            more = f"`goals budget {goal.id} --set seconds=…` goes on"
            return f"its budget of seconds is used up{_inbox(seen, seen.approval)}; {more}"
        case _:
            return f"`goals resume {goal.id}` goes on"


def _running_goal(seen: SimpleNamespace, name: str) -> str:
    counts = _counts(seen)
    running, verifying = counts.get("running", 0), counts.get("verifying", 0)
    done = f"{counts.get('done', 0)} of {sum(counts.values())} tasks are done"
    if running or verifying:
        now = [
            f"{count} {doing}"
            for count, doing in ((running, "running"), (verifying, "being verified"))
            if count
        ]
        return f"{name} is under way: {', '.join([done, *now])}" + _no_worker(seen)
    if seen.task is not None:
        return f"{name}: {done}; {_task(seen)}"
    if counts.get("held"):
        return f"{name} waits for a person: {done}{_inbox(seen, seen.approval)}"
    return f"{name}: {done}; the orchestrator will look at it within seconds" + _no_worker(seen)


def _task(seen: SimpleNamespace) -> str:
    task, name = seen.task, f"{seen.goal.id}/{seen.task.key}"
    if seen.goal.paused and not task.finished:
        return f"{name} is {task.state}; its goal is paused {_by_whom(seen.goal_paused)}"
    if task.paused and not task.finished:
        lift = f"`goals resume --task {name}` goes on"
        return f"{name} is {task.state} and paused {_by_whom(seen.task_paused)}; {lift}"
    match task.state:
        case "blocked":
            return f"{name} waits for {_needed(seen)}"
        case "ready":
            return f"{name} {_ready(seen)}"
        case "running":
            return f"{name} {_running(seen)}"
        case "verifying":
            return f"{name} {_verifying(seen)}"
        case "held":
            asked = _inbox(seen, seen.task_approval)
            return f"{name} is held: {task.reason or 'a person must decide'}{asked}"
        case _:
            rest = f": {task.reason}" if task.reason else ""
            return f"{name} is {task.state}{rest}"


def _needed(seen: SimpleNamespace) -> str:
    if seen.goal.state == "plan_review":
        return f"a person to look at the plan{_inbox(seen, seen.approval)}"
    if seen.swarm is not None:
        return _swarm(seen)
    names = [f"{need.key} ({need.state}{_asked(need)})" for need in seen.needs or ()]
    if not names:
        return "the orchestrator, which will look at it within seconds" + _no_worker(seen)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _asked(need: SimpleNamespace) -> str:
    return f": `inbox show {need.asked}`" if need.asked else ""


def _swarm(seen: SimpleNamespace) -> str:
    counts = swarms_progress([seen.task.id]).get(seen.task.id)
    if counts is None:
        return "the orchestrator"
    far = f"its swarm: {swarm_sentence(counts)}"
    if seen.task_approval is not None:
        return f"its swarm, which {seen.task.reason}{_inbox(seen, seen.task_approval)}; {far}"
    if counts["leased"] or not counts["open"]:
        return far + _no_worker(seen)
    return f"{far}; a worker with room is rung for" + _no_worker(seen)


def _ready(seen: SimpleNamespace) -> str:
    task, attempt = seen.task, seen.attempt
    if task.due_in is not None and task.due_in > 0:
        return f"is tried again in {task.due_in:.0f} s, because {task.reason or 'it failed'}"
    if task.scoped and task.reason.startswith("waits for ") and seen.scope_held:
        return f"is ready but {task.reason}"  # a claim clears the reason
    if attempt is None or attempt.state != "queued":
        return "is ready but has no queued attempt; run `fsck`"
    goal = seen.goal
    if goal.running_max is not None and goal.running >= goal.running_max:
        lift = f"`goals concurrency {goal.id} 0` lifts the limit"
        return f"is ready and waits: {goal.running_max} tasks of its goal may run at once; {lift}"
    sent = f"published {attempt.publishes + 1} time{'s' if attempt.publishes else ''}"
    room = "until a worker has room" + _no_worker(seen)
    return f"is queued since {attempt.queued_for:.0f} s ({sent}) {room}"


def _running(seen: SimpleNamespace) -> str:
    attempt = seen.attempt
    if attempt is None or attempt.state != "running":
        return "is running"
    where = f"on {attempt.worker}" if attempt.worker else f"by worker {attempt.owner}"
    since = f" since {_at(attempt.started_at):%H:%M:%S} UTC" if attempt.started_at else ""
    note = f"; {attempt.note}" if attempt.note else ""
    gone = attempt.owner not in (seen.alive or ())
    lost = "; that worker is gone, and another takes over" + _no_worker(seen) if gone else ""
    return f"is running {where}{since} (attempt {attempt.number}){note}{lost}"


def _verifying(seen: SimpleNamespace) -> str:
    attempt = seen.attempt
    if attempt is None or attempt.state != "reported":
        return "is being verified"
    if attempt.unheard:
        return f"waits for the verdict of {', '.join(attempt.unheard)}" + _no_worker(seen)
    return seen.task.reason or "has all its verdicts and is being settled"


def _proposal(seen: SimpleNamespace) -> str:
    row, asked = seen.subject, _inbox(seen, seen.task_approval)
    match row.state:
        case "in_review":
            return f"proposal-{row.id} waits for approval{asked}"
        case "approved" if row.asked:
            return f"proposal-{row.id} is in doubt: a person must say whether it happened{asked}"
        case "approved":
            waits = f"; {row.reason}" if row.reason else ""
            return f"proposal-{row.id} is approved and will be applied{waits}" + _no_worker(seen)
        case _:
            return f"proposal-{row.id} is {row.state}" + (f": {row.reason}" if row.reason else "")


def _request(seen: SimpleNamespace) -> str:
    row = seen.subject
    if row.state != "open":
        return f"approval-{row.id} is {row.state}"
    due = f"; it expires at {_at(row.due_at):%Y-%m-%d %H:%M} UTC" if row.due_at else ""
    return (
        f"approval-{row.id} has {row.agreed} of {row.quorum} approvals{due};"
        f" {_who(seen, row)}: {row.question}"
    )


def _who(seen: SimpleNamespace, asked: SimpleNamespace) -> str:
    if asked.roles:
        but = f", but not {asked.not_by}" if asked.not_by else ""
        return f"who has the role {' or '.join(asked.roles)} may decide, and superusers{but}"
    names = [name for name in seen.deciders or [] if name != asked.not_by]
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return f"{shown or 'any administrator'} may decide"


def _inbox(seen: SimpleNamespace, asked: SimpleNamespace | None) -> str:
    if asked is None:
        return ""
    due = f", until {_at(asked.due_at):%Y-%m-%d %H:%M} UTC" if asked.due_at else ""
    return f" (approval-{asked.id}{due}; {_who(seen, asked)}; `inbox show {asked.id}`)"


def _by_whom(entry: SimpleNamespace | None) -> str:
    if entry is None:
        return "by nobody known"
    since = f"by {entry.actor} since {_at(entry.at):%H:%M:%S} UTC"
    return since + (f" ({entry.reason})" if entry.reason else "")


def _no_worker(seen: SimpleNamespace) -> str:
    return no_worker(alive=bool(seen.alive))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
