"""What a goal's ledger says the state is: a pure fold over its entries, in order of seq.

Folded are the goal (state, paused, priority), each task (state, fence, attempts, accepted attempt),
each attempt (number, state, fence), each proposal (state, hash) and each approval (state, hash,
decisions). How states follow from events is read from the tables in `domain.lives`; an entry that
they do not allow becomes a problem, in words.

The ledger says some things only once, and what follows from them is not written again:
- a task is born blocked, with its plan (`plan.accepted`) or its fan-out (`task.expanded`);
- a task that becomes ready without an open attempt gets the next number queued. Its id is learnt
  from the first entry that names it;
- `task.accepted` accepts the attempt that it names, `goal.cancelled` withdraws open approvals.

Deliberately not in the ledger, and so not folded: times, leases and owners, progress and notes,
publishing, reports and outputs (their hashes are), what was spent, counts of open needs, reasons
where they only repeat the state, scope leases, and which parts of a goal are paused. A claim that
is given back because a scope is held raises the fence of its task and leaves no entry.

Facts that older ledgers lack (the ids of a plan's tasks, the task of an attempt) are unknown, not
wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agentsys.kernel.machine import Machine
from orchestration.domain.chain import Entry
from orchestration.domain.lives import (
    ATTEMPT,
    GOAL,
    PROPOSAL,
    TASK,
    AttemptEvent,
    AttemptState,
    GoalEvent,
    GoalState,
    ProposalState,
    TaskEvent,
    TaskState,
)

OPEN_ATTEMPT = frozenset({AttemptState.QUEUED, AttemptState.RUNNING, AttemptState.REPORTED})


@dataclass(slots=True)
class FoldedAttempt:
    """`id` None: no entry has named it yet."""

    number: int
    fence: int
    id: int | None = None
    state: AttemptState = AttemptState.QUEUED


@dataclass(slots=True)
class FoldedTask:
    id: int
    state: TaskState = TaskState.BLOCKED
    fence: int = 0
    accepted: int | None = None
    attempts: list[FoldedAttempt] = field(default_factory=list)

    def open_attempt(self) -> FoldedAttempt | None:
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.state in OPEN_ATTEMPT else None


@dataclass(slots=True)
class FoldedProposal:
    hash: str
    state: ProposalState = ProposalState.OPEN


@dataclass(slots=True)
class FoldedApproval:
    kind: str
    state: str = "open"
    action_hash: str | None = None  # None: nobody has decided on it
    decisions: int = 0


@dataclass(frozen=True, slots=True)
class FoldedPlan:
    """`tasks` are ids in the order of the document; None where the ledger does not say."""

    id: int | None
    version: int
    hash: str | None
    tasks: tuple[int, ...] | None


@dataclass(slots=True)
class Folded:
    """`problems` are entries that cannot have happened as they stand."""

    state: GoalState = GoalState.DRAFT
    paused: bool = False
    priority: int | None = None  # None: never changed
    steered: dict[str, Any] = field(default_factory=dict)  # columns of the goal that people set
    plans: list[FoldedPlan] = field(default_factory=list)
    tasks: dict[int, FoldedTask] = field(default_factory=dict)
    proposals: dict[int, FoldedProposal] = field(default_factory=dict)
    approvals: dict[int, FoldedApproval] = field(default_factory=dict)
    unplaced: set[int] = field(default_factory=set)  # attempts of which only the id is known
    problems: list[str] = field(default_factory=list)

    @property
    def knows_all_tasks(self) -> bool:
        return all(plan.tasks is not None for plan in self.plans)

    def task(self, task_id: int) -> FoldedTask:
        return self.tasks.setdefault(task_id, FoldedTask(task_id))


def runs(ids: Iterable[int]) -> list[list[int]]:
    """Ids in order as `[first, count]` of each stretch without a gap; ten thousand are one pair."""
    found: list[list[int]] = []
    for one in ids:
        if found and one == found[-1][0] + found[-1][1]:
            found[-1][1] += 1
        else:
            found.append([one, 1])
    return found


def ids_of(pairs: Iterable[Sequence[int]]) -> list[int]:
    """What `runs` was given."""
    return [one for first, count in pairs for one in range(first, first + count)]


def fold(entries: Iterable[Entry]) -> Folded:
    """The state after `entries`, which are a goal's from the first on, in order."""
    state = Folded()
    for entry in entries:
        handler = _HANDLERS.get(entry.event)
        if handler is None:
            continue
        try:
            handler(state, entry)
        except (LookupError, TypeError, ValueError):  # not written by us: facts are missing or odd
            state.problems.append(f"entry {entry.seq} ({entry.event}) cannot be read")
    return state


# --- The goal and its plans ----------------------------------------------------------------------


def _goal_moved(event: GoalEvent) -> Handler:
    def handle(state: Folded, entry: Entry) -> None:
        state.state = GoalState(_next(state, entry, GOAL, state.state, event, "the goal"))
        if event is GoalEvent.CANCELLED:
            state.paused = False
            for approval in state.approvals.values():
                if approval.state == "open":
                    approval.state = "withdrawn"

    return handle


def _paused(state: Folded, _: Entry) -> None:
    state.paused = True


def _resumed(state: Folded, _: Entry) -> None:
    state.paused = False


def _prioritised(state: Folded, entry: Entry) -> None:
    state.priority = entry.payload["to"]


def _set(column: str) -> Handler:
    def handle(state: Folded, entry: Entry) -> None:
        state.steered[column] = entry.payload["to"]

    return handle


def _plan_accepted(state: Folded, entry: Entry) -> None:
    facts = entry.payload
    ids = None if "ids" not in facts else tuple(ids_of(facts["ids"]))
    _plan_added(state, entry, FoldedPlan(facts["plan"], facts["version"], facts["hash"], ids))
    if ids is not None and len(ids) != facts["tasks"]:
        state.problems.append(
            f"entry {entry.seq} names {len(ids)} tasks of a plan of {facts['tasks']}"
        )


def _task_expanded(state: Folded, entry: Entry) -> None:
    children = tuple(entry.payload["children"])
    version = entry.payload["plan_version"]
    _plan_added(state, entry, FoldedPlan(entry.payload.get("plan"), version, None, children))


def _plan_added(state: Folded, entry: Entry, plan: FoldedPlan) -> None:
    state.plans.append(plan)
    for task_id in plan.tasks or ():
        if task_id in state.tasks:
            state.problems.append(f"entry {entry.seq}: task-{task_id} is born a second time")
        state.task(task_id)


# --- Tasks and attempts --------------------------------------------------------------------------


def _tasks_unblocked(state: Folded, entry: Entry) -> None:
    for task_id in entry.payload["tasks"]:
        _task_step(state, entry, state.task(task_id), TaskEvent.UNBLOCKED)


def _tasks_claimed(state: Folded, entry: Entry) -> None:
    for task_id, attempt_id, fence in entry.payload["claims"]:
        task = state.task(task_id)
        _task_step(state, entry, task, TaskEvent.CLAIMED)
        if fence <= task.fence:
            state.problems.append(
                f"entry {entry.seq}: task-{task_id} is claimed under fence {fence}, which does not"
                f" come after {task.fence}"
            )
        task.fence = fence
        attempt = _attempt(state, entry, task, attempt_id)
        if attempt is not None:
            _attempt_step(state, entry, attempt, AttemptEvent.CLAIMED)
            attempt.fence = fence


def _task_moved(event: TaskEvent) -> Handler:
    def handle(state: Folded, entry: Entry) -> None:
        if entry.task_id is not None:
            _task_step(state, entry, state.task(entry.task_id), event)

    return handle


def _task_accepted(state: Folded, entry: Entry) -> None:
    """One entry for attempt and task; in a batch both go from running to the end in one step."""
    if entry.task_id is None:
        return
    task = state.task(entry.task_id)
    if task.state is TaskState.RUNNING:
        task.state = TaskState.VERIFYING
    _task_step(state, entry, task, TaskEvent.ACCEPTED)
    attempt = _attempt(state, entry, task, entry.attempt_id)
    if attempt is None:
        return
    if attempt.state is AttemptState.RUNNING:
        attempt.state = AttemptState.REPORTED
    _attempt_step(state, entry, attempt, AttemptEvent.ACCEPTED)
    task.accepted = attempt.id
    if entry.payload.get("fence", attempt.fence) != attempt.fence:
        state.problems.append(
            f"entry {entry.seq}: {_named(attempt)} is accepted under fence"
            f" {entry.payload['fence']}, it was claimed under {attempt.fence}"
        )


def _attempt_moved(event: AttemptEvent) -> Handler:
    def handle(state: Folded, entry: Entry) -> None:
        if entry.task_id is None:
            attempt = _attempt_of_any(state, entry.attempt_id)
        else:
            attempt = _attempt(state, entry, state.task(entry.task_id), entry.attempt_id)
        if attempt is not None:
            _attempt_step(state, entry, attempt, event)

    return handle


def _task_step(state: Folded, entry: Entry, task: FoldedTask, event: TaskEvent) -> None:
    task.state = TaskState(_next(state, entry, TASK, task.state, event, f"task-{task.id}"))
    if task.state is TaskState.READY and task.open_attempt() is None:
        task.attempts.append(FoldedAttempt(number=len(task.attempts) + 1, fence=task.fence))


def _attempt_step(state: Folded, entry: Entry, attempt: FoldedAttempt, event: AttemptEvent) -> None:
    reached = _next(state, entry, ATTEMPT, attempt.state, event, _named(attempt))
    attempt.state = AttemptState(reached)


def _attempt(
    state: Folded, entry: Entry, task: FoldedTask, attempt_id: int | None
) -> FoldedAttempt | None:
    """The attempt that an entry names; the open one takes the id when it had none."""
    for attempt in reversed(task.attempts):
        if attempt.id == attempt_id:
            return attempt
    last = task.open_attempt()
    if last is None or last.id is not None:
        state.problems.append(
            f"entry {entry.seq} ({entry.event}) names attempt-{attempt_id}, which task-{task.id}"
            " never had"
        )
        return None
    last.id = attempt_id
    return last


def _attempt_of_any(state: Folded, attempt_id: int | None) -> FoldedAttempt | None:
    """The first ledgers named an attempt without its task: one that was never claimed is not to be
    found again."""
    for task in state.tasks.values():
        for attempt in task.attempts:
            if attempt.id == attempt_id:
                return attempt
    if attempt_id is not None:
        state.unplaced.add(attempt_id)
    return None


# --- Proposals and approvals ---------------------------------------------------------------------


def _proposal_opened(state: Folded, entry: Entry) -> None:
    state.proposals[entry.payload["proposal"]] = FoldedProposal(entry.payload["hash"])


def _proposal_moved(event: Any) -> Handler:
    def handle(state: Folded, entry: Entry) -> None:
        number = entry.payload["proposal"]
        proposal = state.proposals.get(number)
        if proposal is None:
            state.problems.append(
                f"entry {entry.seq} ({entry.event}): proposal-{number} was never opened"
            )
            return
        reached = _next(state, entry, PROPOSAL, proposal.state, event, f"proposal-{number}")
        proposal.state = ProposalState(reached)

    return handle


def _approval_requested(state: Folded, entry: Entry) -> None:
    state.approvals[entry.payload["approval"]] = FoldedApproval(entry.payload["kind"])


def _approval_decided(state: Folded, entry: Entry) -> None:
    approval = _approval(state, entry)
    if approval is not None:
        approval.state = entry.payload["state"]
        approval.action_hash = entry.payload["action_hash"]
        approval.decisions += 1


def _approval_closed(reached: str) -> Handler:
    def handle(state: Folded, entry: Entry) -> None:
        approval = _approval(state, entry)
        if approval is not None:
            approval.state = reached

    return handle


def _approval(state: Folded, entry: Entry) -> FoldedApproval | None:
    """The approval that the entry decides or closes: it must be open."""
    number = entry.payload["approval"]
    approval = state.approvals.get(number)
    if approval is None or approval.state != "open":
        was = "was never asked for" if approval is None else f"was {approval.state} by then"
        state.problems.append(f"entry {entry.seq} ({entry.event}): approval-{number} {was}")
    return approval


# --- Entries to handlers -------------------------------------------------------------------------

Handler = Callable[[Folded, Entry], None]


def _next(
    state: Folded, entry: Entry, machine: Machine, now: StrEnum, event: StrEnum, what: str
) -> StrEnum:
    """Where the table leads. From a state that has no such move it is a problem, and goes on."""
    step = machine.moves[event]
    if now not in step.sources:
        state.problems.append(f"entry {entry.seq} ({entry.event}): {what} was {now} by then")
    return step.target


def _named(attempt: FoldedAttempt) -> str:
    return f"attempt-{attempt.id}" if attempt.id is not None else f"attempt number {attempt.number}"


_HANDLERS: Mapping[str, Handler] = {
    **{f"goal.{event}": _goal_moved(event) for event in GoalEvent},
    **{f"task.{event}": _task_moved(event) for event in TaskEvent},
    **{f"attempt.{event}": _attempt_moved(event) for event in AttemptEvent},
    **{f"proposal.{event}": _proposal_moved(event) for event in PROPOSAL.moves},
    "goal.paused": _paused,
    "goal.resumed": _resumed,
    "goal.prioritised": _prioritised,
    "goal.concurrency_set": _set("running_max"),
    "goal.model_set": _set("model"),
    "plan.accepted": _plan_accepted,
    "tasks.unblocked": _tasks_unblocked,
    "tasks.claimed": _tasks_claimed,
    "task.accepted": _task_accepted,
    "task.expanded": _task_expanded,
    "proposal.opened": _proposal_opened,
    "approval.requested": _approval_requested,
    "approval.decided": _approval_decided,
    "approval.expired": _approval_closed("expired"),
    "approval.withdrawn": _approval_closed("withdrawn"),
}
