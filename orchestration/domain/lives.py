"""The lives of goals, tasks, attempts and proposals, as tables.

The tables are the documentation: `docs/lives.md` is drawn from them, the database's CHECK
constraints are made from them, and `services.moves` is the one writer that follows them.
"""

from __future__ import annotations

from enum import StrEnum

from agentsys.kernel.machine import Machine, move


class GoalState(StrEnum):
    DRAFT = "draft"
    PLANNING = "planning"
    PLAN_REVIEW = "plan_review"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class GoalEvent(StrEnum):
    SUBMITTED = "submitted"  # a contract was frozen; a planner may look at it
    PLANNED = "planned"  # a valid plan is in force
    PLAN_HELD = "plan_held"  # a person must look at the plan first
    PLAN_APPROVED = "plan_approved"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REVIVED = "revived"  # a person retries from the failure


class TaskState(StrEnum):
    BLOCKED = "blocked"
    READY = "ready"
    RUNNING = "running"
    VERIFYING = "verifying"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class TaskEvent(StrEnum):
    UNBLOCKED = "unblocked"  # every dependency is accepted (or failed and optional)
    CLAIMED = "claimed"  # a worker took the lease, the fence went up
    YIELDED = "yielded"  # the worker stopped at a step boundary; the journal goes on later
    LOST = "lost"  # the lease ran out or the worker's session is gone
    REPORTED = "reported"  # the worker handed in its report
    ACCEPTED = "accepted"  # the verdicts say yes and nothing is held back
    HELD = "held"  # a proposal, a question or a verdict waits
    RESUMED = "resumed"  # the wait is over: try on
    RETRIED = "retried"  # refused or failed, and attempts are left
    EXHAUSTED = "exhausted"  # refused or failed for good
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"  # a newer plan has no place for it
    REVIVED = "revived"
    REPLACED = "replaced"  # it had ended; a newer plan has another task in its place, or none


class AttemptState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    REPORTED = "reported"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LOST = "lost"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptEvent(StrEnum):
    CLAIMED = "claimed"
    YIELDED = "yielded"  # back to the queue, same journal
    REPORTED = "reported"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LOST = "lost"
    FAILED = "failed"
    CANCELLED = "cancelled"
    OVERRULED = "overruled"  # a person's output counts in its place


class ProposalState(StrEnum):
    OPEN = "open"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    APPLIED = "applied"
    REJECTED = "rejected"
    STALE = "stale"
    WITHDRAWN = "withdrawn"


class ProposalEvent(StrEnum):
    REVIEW_ASKED = "review_asked"
    APPROVED = "approved"
    APPLIED = "applied"
    REJECTED = "rejected"
    STALED = "staled"
    WITHDRAWN = "withdrawn"


G, GE = GoalState, GoalEvent
T, TE = TaskState, TaskEvent
A, AE = AttemptState, AttemptEvent
P, PE = ProposalState, ProposalEvent

GOAL = Machine(
    kind="goal",
    initial=G.DRAFT,
    moves={
        GE.SUBMITTED: move(G.DRAFT, to=G.PLANNING),
        GE.PLANNED: move(G.DRAFT, G.PLANNING, to=G.RUNNING),
        GE.PLAN_HELD: move(G.DRAFT, G.PLANNING, to=G.PLAN_REVIEW),
        GE.PLAN_APPROVED: move(G.PLAN_REVIEW, to=G.RUNNING),
        GE.SUCCEEDED: move(G.RUNNING, to=G.SUCCEEDED),
        GE.FAILED: move(G.PLANNING, G.PLAN_REVIEW, G.RUNNING, to=G.FAILED),
        GE.CANCELLED: move(G.DRAFT, G.PLANNING, G.PLAN_REVIEW, G.RUNNING, to=G.CANCELLED),
        GE.REVIVED: move(G.FAILED, to=G.RUNNING),
    },
    revivals=frozenset({GE.REVIVED}),
)

UNFINISHED = (T.BLOCKED, T.READY, T.RUNNING, T.VERIFYING, T.HELD)

TASK = Machine(
    kind="task",
    initial=T.BLOCKED,
    moves={
        TE.UNBLOCKED: move(T.BLOCKED, to=T.READY),
        TE.CLAIMED: move(T.READY, to=T.RUNNING),
        TE.YIELDED: move(T.RUNNING, to=T.READY),
        TE.LOST: move(T.RUNNING, to=T.READY),
        TE.REPORTED: move(T.RUNNING, to=T.VERIFYING),
        TE.ACCEPTED: move(T.VERIFYING, T.HELD, to=T.DONE),
        TE.HELD: move(T.RUNNING, T.VERIFYING, to=T.HELD),
        TE.RESUMED: move(T.HELD, to=T.READY),
        TE.RETRIED: move(T.RUNNING, T.VERIFYING, T.HELD, to=T.READY),
        TE.EXHAUSTED: move(T.BLOCKED, T.RUNNING, T.VERIFYING, T.HELD, to=T.FAILED),
        TE.CANCELLED: move(*UNFINISHED, to=T.CANCELLED),
        TE.SUPERSEDED: move(*UNFINISHED, to=T.SUPERSEDED),
        TE.REVIVED: move(T.DONE, T.FAILED, T.CANCELLED, to=T.BLOCKED),
        TE.REPLACED: move(T.DONE, T.FAILED, T.CANCELLED, to=T.SUPERSEDED),
    },
    revivals=frozenset({TE.REVIVED, TE.REPLACED}),
)

ATTEMPT = Machine(
    kind="attempt",
    initial=A.QUEUED,
    moves={
        AE.CLAIMED: move(A.QUEUED, to=A.RUNNING),
        AE.YIELDED: move(A.RUNNING, to=A.QUEUED),
        AE.REPORTED: move(A.RUNNING, to=A.REPORTED),
        AE.ACCEPTED: move(A.REPORTED, to=A.ACCEPTED),
        AE.REJECTED: move(A.REPORTED, to=A.REJECTED),
        AE.LOST: move(A.RUNNING, to=A.LOST),
        AE.FAILED: move(A.RUNNING, to=A.FAILED),
        AE.CANCELLED: move(A.QUEUED, A.RUNNING, A.REPORTED, to=A.CANCELLED),
        AE.OVERRULED: move(A.ACCEPTED, to=A.REJECTED),
    },
    revivals=frozenset({AE.OVERRULED}),
)

PROPOSAL = Machine(
    kind="proposal",
    initial=P.OPEN,
    moves={
        PE.REVIEW_ASKED: move(P.OPEN, to=P.IN_REVIEW),
        PE.APPROVED: move(P.OPEN, P.IN_REVIEW, to=P.APPROVED),
        PE.APPLIED: move(P.APPROVED, to=P.APPLIED),
        PE.REJECTED: move(P.OPEN, P.IN_REVIEW, to=P.REJECTED),
        PE.STALED: move(P.OPEN, P.IN_REVIEW, P.APPROVED, to=P.STALE),
        PE.WITHDRAWN: move(P.OPEN, P.IN_REVIEW, P.APPROVED, to=P.WITHDRAWN),
    },
)

ACTION_FAILED = "the approved action failed"  # how the reason begins

MACHINES = (GOAL, TASK, ATTEMPT, PROPOSAL)


def proposal_told(state: str, reason: str) -> str:
    """A proposal's state as people are told it: an action that was done and failed is no stale one."""
    failed = state == ProposalState.STALE and reason.startswith(ACTION_FAILED)
    return "failed" if failed else state
