"""When a part of a plan may be planned anew by a planner, and when a person is asked instead. Pure.

Planning again is allowed only while it leads somewhere:
- the *frontier* is new: the tasks that are not done, with their definitions and with why they
  failed, are not as they were at any earlier replan of this goal. From the same place the same
  comes out;
- *defects shrink*: in the subtree that is planned again, fewer of them are open than when it was
  last planned. Counted in the subtree, as what goes wrong beside it says nothing about it;
- it stays *bounded*: in depth, in number, and each plan has fewer steps than the one before.

Since defects are whole numbers that go down, a subtree is planned again at most as often as its
first failure had defects, whatever the bounds are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agentsys.kernel.hashing import digest
from agentsys.kernel.wording import counted
from workers.domain.subplans import STEPS_MAX

DEPTH_MAX = 2  # a step of a divided task may be divided, its steps may not
SUBTREE_MAX = 3  # replans of one subtree
GOAL_MAX = 20  # replans of one goal
DIVISION: Mapping[str, Any] = {  # what a planner's steps become: children of the task they are for
    "as": "step",
    "key": "${step.key}",
    "task": {
        "agent": "${step.agent}",
        "objective": "${step.objective}",
        "inputs": "${step.inputs}",
        "retry": {"on_exhausted": "replan"},
    },
}


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that is not done. `defects` are the reasons why what it last came to did not count."""

    key: str
    definition_hash: str
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision rests on; it stands in the ledger with the decision.

    `root` is the topmost task of the subtree: the one that was divided first. `steps_max` is how
    many steps the next plan may have.
    """

    task: str
    root: str
    depth: int
    frontier: str
    defects: int
    steps_max: int = STEPS_MAX

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Replan:
    """A replan that was carried out."""

    task: str
    root: str
    frontier: str
    defects: int

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Replan:
        return cls(payload["task"], payload["root"], payload["frontier"], payload["defects"])


def division_over(over: str, *, scopes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fan-out of a divided task: its steps may write where it may."""
    scoped = {"scopes": list(scopes)} if scopes else {}
    return {**DIVISION, "over": over, "task": {**DIVISION["task"], **scoped}}


def is_division(fan_out: Mapping[str, Any]) -> bool:
    """Is it one that `division_over` makes? Another fan-out's children are not a planner's to replace."""
    task = fan_out.get("task")
    scopes = task.get("scopes", ()) if isinstance(task, Mapping) else ()
    return bool(fan_out == division_over(fan_out.get("over", ""), scopes=scopes))


def frontier_of(tasks: Iterable[OpenTask]) -> str:
    """A hash of what is not done, how it is defined and why it failed, in whatever order."""
    return digest(sorted([t.key, t.definition_hash, sorted(t.defects)] for t in tasks))


def defects_of(tasks: Iterable[OpenTask], subtree: Iterable[str]) -> int:
    within = set(subtree)
    return sum(len(task.defects) for task in tasks if task.key in within)


def steps_allowed(steps_before: int | None) -> int:
    """The next plan's most steps: the smallest plan first, and each smaller than the last."""
    return STEPS_MAX if steps_before is None else min(STEPS_MAX, steps_before - 1)


def refusal(facts: Facts, earlier: Sequence[Replan]) -> str:
    """Why a person is to be asked instead; "" when the subtree may be planned again.

    `earlier` are the replans of this goal that were carried out, the oldest first.
    """
    before = [one for one in earlier if one.root == facts.root]
    if facts.depth > DEPTH_MAX:
        return f"it is {facts.depth} divisions deep; at most {DEPTH_MAX} are made"
    if len(before) >= SUBTREE_MAX:
        return f"{facts.root} was divided {counted(len(before), 'time')}; at most {SUBTREE_MAX}"
    if len(earlier) >= GOAL_MAX:
        return f"the goal was planned again {counted(len(earlier), 'time')}; at most {GOAL_MAX}"
    if any(one.frontier == facts.frontier for one in earlier):
        return "nothing has changed since it was planned before: the same is open, for the same reasons"
    if before and facts.defects >= before[-1].defects:
        was = counted(before[-1].defects, "open defect")
        return f"planning again has not helped: {was} then, {facts.defects} now"
    if facts.steps_max < 1:
        return "the last plan had one step; there is none smaller"
    return ""
