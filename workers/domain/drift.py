"""How far an agent has left its task, from typed facts. Pure.

An action is *astray* when it reaches outside the task's scopes or for what is not there, when it
repeats one that nothing has changed since, or when its words are far from the task and follow from
nothing that was found on the way; an answer that uses no tool is astray as well. The score is the
share of astray actions in the last steps, a little more when no criterion was ever advanced in
them, less when one was. Paths, commands and code are never judged by their words: an agent that
reads many files of its own scope has nothing in common with its objective but the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW = 6  # steps
LEANING = 2 / 3  # of the limit: the agent is told its task again
NEAR = 0.15  # cosine from which words count as near to the task
LED = 0.5  # share of an action's words that were found on the way
STALLED, ADVANCED = 0.05, 0.15


@dataclass(frozen=True, slots=True)
class ActionFact:
    """One tool call. `nearness` is None where its words are not judged; `led`: the share of its
    words that earlier results hold; `criteria`: those that it comes near to, by number."""

    name: str
    off_scope: bool = False
    repeated: bool = False
    nearness: float | None = None
    led: float = 0.0
    criteria: frozenset[int] = frozenset()

    @property
    def far(self) -> bool:
        return self.nearness is not None and self.nearness < NEAR and self.led < LED

    @property
    def astray(self) -> bool:
        return self.off_scope or self.repeated or self.far


@dataclass(frozen=True, slots=True)
class StepFact:
    """One answer of the model. `idle`: it used no tool at all."""

    actions: tuple[ActionFact, ...] = ()
    idle: bool = False

    @property
    def astray(self) -> float:
        if self.idle:
            return 1.0
        return sum(a.astray for a in self.actions) / len(self.actions) if self.actions else 0.0


@dataclass(frozen=True, slots=True)
class Drift:
    """A checkpoint's score and what it comes from; shares and distances are in [0, 1]."""

    score: float
    coverage: float  # criteria that some action so far came near to
    off_scope: float
    repeated: float
    far: float
    idle: float
    distance: float  # mean of the judged actions from the objective
    reasons: tuple[str, ...] = ()


def drift(steps: Sequence[StepFact], criteria: int) -> Drift:
    """The score after these steps, oldest first; `criteria` is how many there are."""
    recent = steps[-WINDOW:]
    actions = [action for step in recent for action in step.actions]
    judged = [a.nearness for a in actions if a.nearness is not None]
    before = _touched(steps[:-WINDOW])
    touched = before | _touched(recent)
    score = sum(step.astray for step in recent) / WINDOW
    if criteria and touched > before:
        score -= ADVANCED
    elif criteria and len(touched) < criteria and score:
        score += STALLED
    return Drift(
        score=round(min(max(score, 0.0), 1.0), 4),
        coverage=round(len(touched) / criteria, 4) if criteria else 1.0,
        off_scope=_share(sum(a.off_scope for a in actions), len(actions)),
        repeated=_share(sum(a.repeated for a in actions), len(actions)),
        far=_share(sum(a.far for a in actions), len(actions)),
        idle=_share(sum(s.idle for s in recent), len(recent)),
        distance=round(1 - sum(judged) / len(judged), 4) if judged else 0.0,
        reasons=_reasons(recent, actions),
    )


def leaning(score: float, limit: float) -> bool:
    return limit < 1 and limit * LEANING <= score < limit


def drifted(score: float, limit: float) -> bool:
    """Never at a limit of 1: that switches it off."""
    return score >= limit and limit < 1


def _touched(steps: Sequence[StepFact]) -> frozenset[int]:
    """A criterion is not advanced by what is astray anyway."""
    fine = (a for step in steps for a in step.actions if not a.astray)
    return frozenset().union(*(a.criteria for a in fine))


def _share(some: int, all_of_them: int) -> float:
    return round(some / all_of_them, 4) if all_of_them else 0.0


def _reasons(recent: Sequence[StepFact], actions: Sequence[ActionFact]) -> tuple[str, ...]:
    """What led astray, in words that hold nothing of what the model or a document said."""
    counted = (
        ("outside its scopes or for what is not there", [a.name for a in actions if a.off_scope]),
        ("repeating what nothing has changed since", [a.name for a in actions if a.repeated]),
        ("far from the objective", [a.name for a in actions if a.far]),
    )
    said = [
        f"{len(names)} of its last {len(actions)} actions were {what} ({', '.join(sorted(set(names)))})"
        for what, names in counted
        if names
    ]
    if idle := sum(step.idle for step in recent):
        said.append(f"{idle} of its last {len(recent)} answers used no tool")
    return tuple(said)
