"""What pausing, cancelling or retrying a goal would do, without doing it: for whoever wants to know first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestration.domain.lives import GOAL
from orchestration.models import ApprovalRequest, Attempt, Goal, Proposal, Task
from orchestration.services.reads import found
from orchestration.services.reviving import failures_of

ACTS = ("pause", "cancel", "retry")
OPEN_PROPOSALS = ("open", "in_review", "approved")


@dataclass(frozen=True, slots=True)
class Foreseen:
    """`refused` says why it would not be done at all; the counts are of what it would change:
    `running` attempts (a pause lets them end, a cancellation takes their say), unfinished `tasks`,
    open `approvals` and `proposals` (withdrawn by a cancellation), and tasks `again` (retried)."""

    goal: int
    act: str
    refused: str
    running: int = 0
    tasks: int = 0
    approvals: int = 0
    proposals: int = 0
    again: int = 0

    @property
    def sentence(self) -> str:
        if self.refused:
            return f"goal-{self.goal} would be left as it is: {self.refused}"
        match self.act:
            case "pause":
                told = (
                    f"{self.tasks} unfinished tasks would stand still; {self.running} attempts in"
                )
                return f"{told} flight would come to their end; every clock would stop"
            case "cancel":
                told = f"{self.tasks} unfinished tasks and {self.running} attempts in flight would"
                gone = f"{self.approvals} open requests and {self.proposals} proposals withdrawn"
                return f"{told} be cancelled, {gone}; what was accepted would stay"
            case _:
                return f"{self.again} failed tasks would be tried again; done work would stay"

    def to_json(self) -> dict[str, Any]:
        counts = ("running", "tasks", "approvals", "proposals", "again")
        return {
            "goal": self.goal,
            "act": self.act,
            "preview": True,
            "refused": self.refused,
            **{name: getattr(self, name) for name in counts},
        }


def goal_foreseen(goal_id: int, act: str) -> Foreseen:
    goal: Goal = found(Goal.objects, "goal", goal_id)
    if refused := _refused(goal, act):
        return Foreseen(goal_id, act, refused)
    if act == "retry":
        failed = len(failures_of(goal_id))
        return Foreseen(goal_id, act, "" if failed else "it has no failed task", again=failed)
    open_ones = {"goal": goal, "state": "open"}
    unfinished = Task.objects.filter(goal=goal, finished_at__isnull=True)
    cancels = act == "cancel"
    return Foreseen(
        goal_id,
        act,
        "",
        running=Attempt.objects.filter(goal=goal, state="running").count(),
        tasks=unfinished.count(),
        approvals=ApprovalRequest.objects.filter(**open_ones).count() if cancels else 0,
        proposals=Proposal.objects.filter(goal=goal, state__in=OPEN_PROPOSALS).count()
        if cancels
        else 0,
    )


def _refused(goal: Goal, act: str) -> str:
    if act == "retry":
        return (
            ""
            if goal.state == "failed"
            else f"it is {goal.state}, and only a failed goal is retried"
        )
    if goal.state in GOAL.terminal:
        return f"it is {goal.state}"
    return "it is paused already" if act == "pause" and goal.paused_by == "goal" else ""
