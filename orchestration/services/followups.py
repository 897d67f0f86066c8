"""What to send after a commit. Losing it costs only the time until the next sweep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from agentsys.kernel.crashpoints import crashpoint
from orchestration.services import dispatch
from orchestration.services.hotpath import Unlocked


@dataclass(slots=True)
class Followups:
    """What to send after the commit."""

    unlocked: Unlocked = field(default_factory=Unlocked)
    verify: list[tuple[int, tuple[tuple[str, str], ...]]] = field(default_factory=list)
    apply: list[int] = field(default_factory=list)
    advance: bool = False
    swarms: list[int] = field(default_factory=list)

    def __iadd__(self, other: Followups) -> Followups:
        self.unlocked += other.unlocked
        self.verify += other.verify
        self.apply += other.apply
        self.advance = self.advance or other.advance
        self.swarms += other.swarms
        return self

    def take_look(self) -> bool:
        """Whether the goal is to be looked at. The caller does so: no message is sent for it any more."""
        looks = self.advance or bool(self.unlocked.expandable)
        self.advance, self.unlocked = False, replace(self.unlocked, expandable=())
        return looks

    def publish(self, goal_id: int, *, coming: int | None = None) -> None:
        crashpoint("C01")
        dispatch.publish_unlocked(goal_id, self.unlocked, coming=coming)
        crashpoint("C12")
        for attempt_id, pairs in self.verify:
            dispatch.publish_verifiers(attempt_id, pairs)
        for proposal_id in self.apply:
            dispatch.send("orchestration.apply", proposal_id)
        for task_id in self.swarms:
            dispatch.ring_swarm(task_id)
        if self.advance:
            dispatch.send("orchestration.integrate", goal_id)
