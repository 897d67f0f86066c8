"""A better version of a playbook, from a goal that did the same work by another plan. Pure.

The version's tasks are those of the goal's plan in force, with parameters put back in the place of
the goal's values; tasks that the playbook has word for word stay as it wrote them. It counts only
if it gives exactly the plan that succeeded, by the backtest of `reflection`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical, plain
from orchestration.domain.abstracting import LABELS, parts_left, templated
from orchestration.domain.generalise import Record
from orchestration.domain.playbook import PlaybookDraft, compile_playbook, playbook_from_json
from orchestration.domain.reflection import CHARS_MAX, TASKS_MAX, Case, Result, backtest, phases_of

FEWER_SHARE = 0.9  # of the steps a playbook takes on average: what is above it is chance


@dataclass(frozen=True, slots=True)
class Improvement:
    """`definition` is the new version; `result` its backtest on the goal."""

    definition: Mapping[str, Any]
    result: Result


def improved(
    definition: Mapping[str, Any], params: Mapping[str, Any], goal: int, tasks: Sequence[Any]
) -> Improvement | None:
    """The playbook with the tasks of `goal`, as plan documents; None where it has them already, or
    where they cannot be given for other values."""
    playbook = playbook_from_json(definition)
    if not 1 <= len(tasks) <= TASKS_MAX:
        return None
    case = case_of(definition, params, goal, tasks)
    written = _written(playbook, params)
    if canonical([task for task, _ in written.values()]) == canonical(list(case.record.tasks)):
        return None
    for keeps in (
        True,
        False,
    ):  # `after: PHASE` may not hold any more; what needs what is said then
        changed = _with_tasks(definition, list(_put_back(case, written if keeps else {})))
        found = _proven(changed, case)
        if found is not None:
            return found
    return None


def case_of(
    definition: Mapping[str, Any], params: Mapping[str, Any], goal: int, tasks: Sequence[Any]
) -> Case:
    """What the new version must give: the goal's tasks under the playbook's own heading."""
    heading = compile_playbook(playbook_from_json(definition), params)
    record = Record(heading.objective, heading.repository, [dict(plain(task)) for task in tasks])
    return Case(goal, heading.params, record)


def _written(
    playbook: PlaybookDraft, params: Mapping[str, Any]
) -> dict[str, tuple[dict[str, Any], Mapping[str, Any]]]:
    """By key: each task as it is compiled, and as the playbook has it."""
    raw = [task for phase in playbook.phases for task in phase["tasks"]]
    made = compile_playbook(playbook, params).tasks
    return {draft.key: (draft.document(), task) for draft, task in zip(made, raw, strict=True)}


def _put_back(
    case: Case, written: Mapping[str, tuple[dict[str, Any], Mapping[str, Any]]]
) -> Iterator[dict[str, Any]]:
    for task in case.record.tasks:
        made, raw = written.get(task["key"], ({}, {}))
        if canonical(made) == canonical(task):
            yield {**raw, "phase": task.get("phase", "")}
        else:
            yield {k: v if k in LABELS else templated(v, case.params) for k, v in task.items()}


def _with_tasks(
    definition: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    version = int(definition.get("version") or 1) + 1
    return {**definition, "version": version, "phases": phases_of(tasks)}


def _proven(changed: Mapping[str, Any], case: Case) -> Improvement | None:
    texts = {k: v for k, v in case.params.items() if isinstance(v, str)}
    tasks = [task for phase in changed["phases"] for task in phase["tasks"]]
    if parts_left(tasks, texts) or len(canonical(changed)) > CHARS_MAX:
        return None
    try:
        (result,) = backtest(changed, [case])
    except BadInput:
        return None
    return None if result.problem else Improvement(changed, result)
