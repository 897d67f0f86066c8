"""What is wrong with a division of a task into steps: a pure check, before anybody else looks.

A step that does what was tried and failed, two steps that do the same, and a division that is no
smaller than what it divides, are refused; the reasons go back to the planner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsys.kernel.hashing import canonical

STEPS_MAX = 12

Work = Mapping[str, Any]  # agent, inputs, objective


def subplan_problems(
    steps: Sequence[Work],
    *,
    failed: Work,
    tried: Sequence[Mapping[str, Any]],
    steps_max: int,
    told_by_inputs: frozenset[str],
) -> list[str]:
    """`tried` are steps of an earlier division, with `ended` and `why`; `told_by_inputs` names the
    agents that do the same whenever they are given the same, whatever the objective says."""
    problems = []
    if len(steps) > steps_max:
        problems.append(
            f"there are {len(steps)} steps; at most {steps_max} are allowed. Plan the smallest"
            " number of steps that reaches the objective"
        )
    bad = [("the task that failed", failed)]
    bad += [(f"`{t['key']}`, which {t['ended']}", t) for t in tried if t["ended"] != "done"]
    for n, step in enumerate(steps):
        problems += [
            f"`{step['key']}` repeats {what}; it would fail again: do it in another way"
            for what, other in bad
            if _same(step, other, told_by_inputs)
        ]
        problems += [
            f"`{step['key']}` does the same as `{other['key']}`; leave one of them out"
            for other in steps[:n]
            if _same(step, other, told_by_inputs)
        ]
    if len(steps) == 1 and _is_whole(steps[0], failed):
        problems.append(
            f"`{steps[0]['key']}` alone is the whole task again, for the same agent; make it"
            " smaller, or give it to another"
        )
    return problems


def _same(a: Work, b: Work, told_by_inputs: frozenset[str]) -> bool:
    if a["agent"] != b["agent"] or canonical(a["inputs"]) != canonical(b["inputs"]):
        return False
    return a["agent"] in told_by_inputs or _words(a) == _words(b)


def _is_whole(step: Work, failed: Work) -> bool:
    return bool(step["agent"] == failed["agent"] and _words(step) == _words(failed))


def _words(work: Work) -> list[str]:
    return str(work.get("objective", "")).lower().split()
