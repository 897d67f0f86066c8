"""A plan before it is rows: its format, and everything that can be wrong with it.

`plan_from_json` reads a plan file, `plan_problems` says in sentences what is wrong with a draft;
both collect all they find (up to a cap), so that one round of mending is enough.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Protocol

import jsonschema

from agentsys.kernel.errors import BadInput
from orchestration.domain.graph import above, ancestors_of, cycle_of
from orchestration.domain.refs import references, task_of
from orchestration.domain.scopes import resources_overlap

KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._\[\]/-]{0,119}$")
PROBLEMS_MAX = 20
TEXT_MAX = 20_000
LIMITS = {
    "seconds_max": (0.001, 86_400),
    "output_bytes_max": (1, 10_000_000),
    "steps_max": (1, 10_000),
    "tokens_max": (1, 100_000_000),
    "cost_usd_max": (0, 100_000),
}
REF_ROOTS = ("tasks", "goal", "repository", "item", "params")


class AgentLike(Protocol):
    @property
    def lane(self) -> str: ...
    @property
    def inputs_schema(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task of a plan. What a field means is in docs/plans.md."""

    key: str
    agent: str
    objective: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    non_goals: tuple[str, ...] = ()
    output_schema: Mapping[str, Any] | None = None
    scopes: tuple[Mapping[str, Any], ...] = ()
    verify: tuple[str, ...] | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    retry: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False
    unproven: str = "ask"
    approval: Mapping[str, Any] | None = None
    fan_out: Mapping[str, Any] | None = None
    priority: int = 0
    check: Mapping[str, Any] | None = None
    phase: str = ""
    remember: str = ""

    def definition(self) -> dict[str, Any]:
        """What is frozen and hashed: everything that says what the task is."""
        return {
            f.name: _plain(getattr(self, f.name))
            for f in fields(self)
            if f.name not in ("key", "depends_on", "phase", "priority", "agent")
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, slots=True)
class PlanDraft:
    objective: str
    tasks: tuple[TaskDraft, ...]
    rationale: str = ""
    planner: str = "explicit"
    repository: str = ""
    playbook: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


TASK_FIELDS = {f.name for f in fields(TaskDraft)}
PLAN_FIELDS = {"objective", "tasks", "rationale", "repository"}
_TUPLES = ("depends_on", "acceptance", "non_goals", "scopes", "verify")
_KINDS: dict[str, tuple[type, ...]] = {
    "key": (str,),
    "agent": (str,),
    "objective": (str,),
    "inputs": (dict,),
    "depends_on": (list,),
    "acceptance": (list,),
    "non_goals": (list,),
    "output_schema": (dict,),
    "scopes": (list,),
    "verify": (list,),
    "limits": (dict,),
    "retry": (dict,),
    "optional": (bool,),
    "unproven": (str,),
    "approval": (dict,),
    "fan_out": (dict,),
    "priority": (int,),
    "check": (dict,),
    "phase": (str,),
    "remember": (str,),
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def plan_from_json(document: Any, *, objective: str = "") -> PlanDraft:
    """Read a plan document. BadInput with every problem of form; content is `plan_problems`."""
    problems: list[str] = []
    if not isinstance(document, Mapping):
        raise BadInput(
            what="plan", problems=[f"it is a {_name(document)}; expected an object with `tasks`"]
        )
    problems += [
        f"unknown field `{name}`{did_you_mean(name, PLAN_FIELDS)}"
        for name in document
        if name not in PLAN_FIELDS
    ]
    rows = document.get("tasks")
    if not isinstance(rows, list) or not rows:
        problems.append("`tasks` must be a list with at least one task")
        rows = []
    tasks = [t for i, row in enumerate(rows) if (t := task_from_json(row, f"tasks[{i}]", problems))]
    said = document.get("objective") or objective
    if not isinstance(said, str) or not said.strip():
        problems.append("`objective` is missing; say in a sentence what the goal is")
    if problems:
        raise BadInput(what="plan", problems=_capped(problems))
    return PlanDraft(
        objective=objective or said,
        tasks=tuple(tasks),
        rationale=str(document.get("rationale") or ""),
        repository=str(document.get("repository") or ""),
    )


def task_from_json(row: Any, where: str, problems: list[str]) -> TaskDraft | None:
    """One task, or None after adding to `problems` what is wrong with its form."""
    before = len(problems)
    if not isinstance(row, Mapping):
        problems.append(f"{where} is a {_name(row)}; expected an object")
        return None
    name = f"{where} ({row['key']})" if isinstance(row.get("key"), str) else where
    problems += [
        f"{name}: unknown field `{f}`{did_you_mean(f, TASK_FIELDS)}"
        for f in row
        if f not in TASK_FIELDS
    ]
    problems += [f"{name}: `{f}` is missing" for f in ("key", "agent") if not row.get(f)]
    problems += [
        f"{name}: `{f}` is a {_name(row[f])}; expected {_KINDS[f][0].__name__}"
        for f in row
        if f in _KINDS and row[f] is not None and not _is_kind(row[f], _KINDS[f])
    ]
    problems += [
        f"{name}: `{f}` must hold only {kind}"
        for f, kind, test in (
            ("depends_on", "task keys", str),
            ("acceptance", "sentences", str),
            ("non_goals", "sentences", str),
            ("verify", "names of verifiers", str),
            ("scopes", "objects with resource and mode", dict),
        )
        if isinstance(row.get(f), list) and not all(isinstance(x, test) for x in row[f])
    ]
    if len(problems) > before:
        return None
    values = {f: tuple(v) if f in _TUPLES else v for f, v in row.items() if v is not None}
    return TaskDraft(**values)


def _is_kind(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool) and bool not in kinds:
        return False
    return isinstance(value, kinds)


def _name(value: Any) -> str:
    names = {"dict": "object", "list": "list", "str": "text", "NoneType": "null"}
    return names.get(type(value).__name__, type(value).__name__)


def _capped(problems: Sequence[str]) -> list[str]:
    rest = len(problems) - PROBLEMS_MAX
    return list(problems) if rest <= 0 else [*problems[:PROBLEMS_MAX], f"and {rest} more"]


def plan_problems(
    draft: PlanDraft,
    agents: Mapping[str, AgentLike],
    verifiers: Collection[str],
    *,
    tasks_max: int,
) -> list[str]:
    """Everything wrong with a draft's content, a sentence each; [] when it can be run."""
    if not draft.tasks:
        return ["the plan has no task"]
    if len(draft.tasks) > tasks_max:
        return [f"the plan has {len(draft.tasks)} tasks; at most {tasks_max} are accepted"]
    problems: list[str] = []
    keys = _keys(draft.tasks, problems)
    for task in draft.tasks:
        _task_problems(task, keys, agents, verifiers, problems)
    needs = {t.key: t.depends_on for t in draft.tasks}
    if not problems and (cycle := cycle_of(needs)):
        problems.append(f"there is a cycle: {' -> '.join(cycle)}; take one of these edges out")
    if not problems:
        problems += _reference_problems(draft.tasks, needs)
        problems += _scope_problems(draft.tasks, needs)
    return _capped(problems)


def _keys(tasks: Sequence[TaskDraft], problems: list[str]) -> set[str]:
    keys: set[str] = set()
    for task in tasks:
        if not KEY.match(task.key):
            problems.append(
                f"key `{task.key[:80]}` is not usable; expected letters, digits and . _ - / [ ],"
                " at most 120, beginning with a letter or digit"
            )
        if task.key in keys:
            problems.append(f"key `{task.key}` is used twice; keys must differ")
        keys.add(task.key)
    return keys


def _task_problems(
    task: TaskDraft,
    keys: Collection[str],
    agents: Mapping[str, AgentLike],
    verifiers: Collection[str],
    problems: list[str],
) -> None:
    name = f"task `{task.key}`"
    for need in task.depends_on:
        if need == task.key:
            problems.append(f"{name} depends on itself: {need} -> {need}")
        elif need not in keys:
            problems.append(
                f"{name} depends on `{need}`, which is no task{did_you_mean(need, keys)}"
            )
    _agent_problems(task, task.agent, agents, problems)
    for verifier in task.verify or ():
        if verifier not in verifiers:
            problems.append(
                f"{name}: unknown verifier `{verifier}`{did_you_mean(verifier, verifiers)}"
                f" (there are: {', '.join(sorted(verifiers))})"
            )
    if task.unproven not in ("ask", "reject"):
        problems.append(f"{name}: `unproven` is `{task.unproven}`; expected ask or reject")
    _limit_problems(task, problems)
    _scope_form_problems(task, name, problems)
    if task.fan_out is not None:
        _fan_out_problems(task, agents, problems)


def _scope_form_problems(task: TaskDraft, name: str, problems: list[str]) -> None:
    for scope in task.scopes:
        resource, mode = scope.get("resource"), scope.get("mode", "write")
        if not isinstance(resource, str) or ":" not in resource:
            problems.append(f"{name}: scope `{resource}` is not kind:path, such as repo:src/**")
        if mode not in ("read", "write"):
            problems.append(f"{name}: scope mode `{mode}` is neither read nor write")


def _agent_problems(
    task: TaskDraft, agent: str, agents: Mapping[str, AgentLike], problems: list[str]
) -> None:
    known = agents.get(agent)
    if known is None:
        problems.append(
            f"task `{task.key}`: unknown agent `{agent}`{did_you_mean(agent, agents)}"
            f" (there are: {', '.join(sorted(agents))})"
        )
        return
    if task.fan_out is None and not references(task.inputs):
        problems += [
            f"task `{task.key}`: inputs of {agent}: {message}"
            for message in _schema_problems(task.inputs, known.inputs_schema)
        ]


_VALIDATORS: dict[int, tuple[Any, Any]] = {}


def _schema_problems(inputs: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    if not schema:
        return []
    held = _VALIDATORS.get(id(schema))
    if held is None or held[0] is not schema:
        held = (schema, jsonschema.Draft202012Validator(dict(schema)))
        _VALIDATORS[id(schema)] = held
    errors = held[1].iter_errors(dict(inputs))
    return [f"{'.'.join(map(str, e.path)) or 'inputs'}: {e.message[:200]}" for e in errors][:3]


def _limit_problems(task: TaskDraft, problems: list[str]) -> None:
    for name, value in task.limits.items():
        if name not in LIMITS:
            problems.append(
                f"task `{task.key}`: unknown limit `{name}`{did_you_mean(name, LIMITS)}"
            )
            continue
        low, high = LIMITS[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            problems.append(f"task `{task.key}`: {name} is {value!r}; expected {low} … {high}")
    most = task.retry.get("attempts_max", 1)
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= 100:
        problems.append(f"task `{task.key}`: retry.attempts_max is {most!r}; expected 1 … 100")


def _fan_out_problems(
    task: TaskDraft, agents: Mapping[str, AgentLike], problems: list[str]
) -> None:
    fan_out = task.fan_out or {}
    over = fan_out.get("over")
    if not isinstance(over, str) or task_of(over.strip().removeprefix("${").rstrip("}")) is None:
        problems.append(
            f"task `{task.key}`: fan_out.over is `{over}`;"
            " expected a list of an earlier task, such as ${tasks.plan.output.items}"
        )
    template = fan_out.get("task")
    if not isinstance(template, Mapping) or not isinstance(template.get("agent"), str):
        problems.append(f"task `{task.key}`: fan_out.task must be an object with an `agent`")
        return
    _agent_problems(task, template["agent"], agents, problems)


def _reference_problems(
    tasks: Sequence[TaskDraft], needs: Mapping[str, Collection[str]]
) -> list[str]:
    problems = []
    for task in tasks:
        wanted = references([task.inputs, task.fan_out])
        if not wanted:
            continue
        reachable = above(needs, task.key)
        for name in sorted(wanted):
            root = re.split(r"[.\[]", name, maxsplit=1)[0]
            key = task_of(name)
            if root not in REF_ROOTS:
                problems.append(
                    f"task `{task.key}`: ${{{name}}} begins with none of {', '.join(REF_ROOTS)}"
                )
            elif key is not None and key not in needs:
                problems.append(
                    f"task `{task.key}`: ${{{name}}} names no task{did_you_mean(key, needs)}"
                )
            elif key is not None and key not in reachable:
                problems.append(
                    f"task `{task.key}`: the missing input ${{{name}}} comes from a task that it"
                    f" does not depend on; add `{key}` to depends_on"
                )
    return problems


def _scope_problems(tasks: Sequence[TaskDraft], needs: Mapping[str, Collection[str]]) -> list[str]:
    """Write scopes that overlap among tasks that may run together."""
    writers = [t for t in tasks if any(s.get("mode", "write") == "write" for s in t.scopes)]
    if len(writers) < 2:
        return []
    bit = {t.key: 1 << i for i, t in enumerate(writers)}
    upper = ancestors_of(needs, [t.key for t in writers])
    problems = []
    for i, a in enumerate(writers):
        for b in writers[i + 1 :]:
            if upper[a.key] & bit[b.key] or upper[b.key] & bit[a.key]:
                continue
            if pair := _overlap(a, b):
                problems.append(
                    f"tasks `{a.key}` and `{b.key}` may run together and both write"
                    f" ({pair[0]} and {pair[1]} overlap); make one depend on the other, or"
                    " narrow a scope"
                )
                if len(problems) >= PROBLEMS_MAX:
                    return problems
    return problems


def _overlap(a: TaskDraft, b: TaskDraft) -> tuple[str, str] | None:
    for mine in a.scopes:
        for theirs in b.scopes:
            writes = "write" in (mine.get("mode", "write"), theirs.get("mode", "write"))
            if writes and resources_overlap(mine["resource"], theirs["resource"]):
                return mine["resource"], theirs["resource"]
    return None
