"""Everything that can be wrong with the content of a plan, in sentences.

All problems are collected (up to a cap), so that one round of mending is enough. Linear in tasks
and edges, up to bit sets of those that others refer to: 10,000 tasks take about a second.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import jsonschema

from agentsys.kernel.plugins import why_left_out
from agentsys.kernel.wording import did_you_mean
from orchestration.domain.expand import CHILDREN_MAX
from orchestration.domain.graph import cycle_of
from orchestration.domain.owners import Owned, owner_problems
from orchestration.domain.plan import (
    REUSE,
    PlanDraft,
    TaskDraft,
    capped,
    task_from_json,
)
from orchestration.domain.plan_limits import limit_problems
from orchestration.domain.plan_refs import reference_problems
from orchestration.domain.plan_retry import rung_problems, swarm_problems
from orchestration.domain.plan_scopes import scope_problems
from orchestration.domain.plan_swarm import swarm_problems as micro_problems
from orchestration.domain.plan_tools import tool_problems
from orchestration.domain.refs import references, task_of
from orchestration.domain.replanning import is_division
from verification.domain.check_forms import check_problems

KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._\[\]/-]{0,119}$")
TEXT_MAX = 20_000
PHASE_MAX = 80
LENGTHS = {
    "acceptance": 100,
    "non_goals": 100,
    "scopes": 100,
    "verify": 20,
    "tools": 50,
    "depends_on": 10_000,
}
RESOURCE_MAX = 300
PRIORITY_MAX = 1000
FAN_OUT = ("over", "as", "key", "max", "task", "budget")
LATER = ("depends_on", "retry", "limits", "approval", "scopes")
UNPROVEN = ("ask", "reject")
PROBE = "probe"  # the key that a fan-out's template is read under


class AgentLike(Protocol):
    @property
    def lane(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def inputs_schema(self) -> Mapping[str, Any]: ...


def plan_problems(
    draft: PlanDraft,
    agents: Mapping[str, AgentLike],
    verifiers: Collection[str],
    *,
    tasks_max: int,
    owned: Collection[Owned] = (),
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
        problems += reference_problems(draft.tasks, needs)
        problems += scope_problems(draft.tasks, needs)
        problems += owner_problems(draft.tasks, agents, owned)
    return capped(problems)


def children_problems(
    parent: str,
    children: Sequence[TaskDraft],
    known: Collection[str],
    agents: Mapping[str, AgentLike],
    verifiers: Collection[str],
    owned: Collection[Owned] = (),
) -> list[str]:
    """What is wrong with the children that a fan-out makes beside the `known` tasks."""
    problems: list[str] = []
    keys = _keys(children, problems)
    problems += [f"key `{key}` is taken" for key in sorted(keys & set(known))]
    every = {*known, *keys}
    for child in children:
        _task_problems(child, every, agents, verifiers, problems)
        if parent in child.depends_on:
            problems.append(f"task `{child.key}` depends on `{parent}`, which waits for it")
    needs = {c.key: [n for n in c.depends_on if n in keys] for c in children}
    if not problems and (cycle := cycle_of(needs)):
        problems.append(f"there is a cycle: {' -> '.join(cycle)}")
    if not problems:
        problems += owner_problems(children, agents, owned)
    return capped(problems)


def _keys(tasks: Sequence[TaskDraft], problems: list[str]) -> set[str]:
    keys: set[str] = set()
    for task in tasks:
        if not KEY.fullmatch(task.key):
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
    if task.verify == ():
        problems.append(f"{name}: `verify` is empty; name a verifier, or leave it out")
    for verifier in task.verify or ():
        if verifier not in verifiers:
            problems.append(
                f"{name}: unknown verifier `{verifier}`{did_you_mean(verifier, verifiers)}"
                f" (there are: {', '.join(sorted(verifiers))})"
                f"{why_left_out('agentsys.verifiers', str(verifier))}"
            )
    problems += [
        f"{name}: `{field}` is `{value}`; expected {' or '.join(choices)}"
        for field, value, choices in (
            ("unproven", task.unproven, UNPROVEN),
            ("reuse", task.reuse, REUSE),
        )
        if value not in choices
    ]
    limit_problems(task, problems)
    problems += rung_problems(name, task.retry, agents, task.agent)
    other = str(task.retry.get("fallback_agent"))
    if other in agents and other != task.agent:
        _agent_problems(task, other, agents, problems)
    _approval_problems(task, agents, problems)
    _size_problems(task, name, problems)
    _scope_form_problems(task, name, problems)
    problems += tool_problems(task, name, getattr(agents.get(task.agent), "tools", None))
    if task.check:
        problems += [f"{name}: {problem}" for problem in check_problems(task.check)]
    problems += micro_problems(task, getattr(agents.get("swarm"), "maps", ()))
    if task.fan_out is not None:
        _fan_out_problems(task, keys, agents, verifiers, problems)


def _approval_problems(
    task: TaskDraft, agents: Mapping[str, AgentLike], problems: list[str]
) -> None:
    """An approval that nobody would ever be asked for is a mistake, and a dangerous one."""
    who = {task.agent, str(task.retry.get("fallback_agent") or task.agent)}
    silent = all(not getattr(agents.get(agent), "proposes", True) for agent in who)
    if silent and (task.approval or {}).get("required") is True:
        problems.append(
            f"task `{task.key}`: nobody would be asked: an approval is of what a task proposes, and"
            f" agent `{task.agent}` proposes nothing but does its work at once; take `approval` out,"
            " or use `devops`, which proposes an `action`"
        )


def _scope_form_problems(task: TaskDraft, name: str, problems: list[str]) -> None:
    for scope in task.scopes:
        resource, mode = scope.get("resource"), scope.get("mode", "write")
        if not isinstance(resource, str) or ":" not in resource:
            problems.append(f"{name}: scope `{resource}` is not kind:path, such as repo:src/**")
        elif len(resource) > RESOURCE_MAX:
            problems.append(
                f"{name}: scope `{resource[:40]}…` has {len(resource)} characters;"
                f" at most {RESOURCE_MAX} are taken"
            )
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
            f"{why_left_out('agentsys.agents', agent)}"
        )
        return
    problems += [
        f"task `{task.key}`: inputs of {agent}: {message}"
        for message in _schema_problems(task.inputs, known.inputs_schema)
    ]


# What a schema says of an object's fields holds however its references resolve.
STRUCTURE = ("required", "additionalProperties", "dependentRequired")
_VALIDATORS: dict[int, tuple[Any, Any]] = {}


def _schema_problems(inputs: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    if not schema:
        return []
    held = _VALIDATORS.get(id(schema))
    if held is None or held[0] is not schema:
        held = (schema, jsonschema.Draft202012Validator(dict(schema)))
        _VALIDATORS[id(schema)] = held
    return [
        f"{'.'.join(map(str, e.path)) or 'inputs'}: {e.message[:200]}"
        for e in held[1].iter_errors(dict(inputs))
        if e.validator in STRUCTURE or not references(e.instance)
    ][:3]


def _size_problems(task: TaskDraft, name: str, problems: list[str]) -> None:
    for field_name, most in (("objective", TEXT_MAX), ("phase", PHASE_MAX)):
        if len(getattr(task, field_name)) > most:
            problems.append(f"{name}: `{field_name}` is longer than {most} characters")
    problems += [
        f"{name}: `{field_name}` has {len(rows)} entries; at most {most} are taken"
        for field_name, most in LENGTHS.items()
        if len(rows := getattr(task, field_name) or ()) > most
    ]
    if any(len(text) > TEXT_MAX for text in (*task.acceptance, *task.non_goals)):
        problems.append(f"{name}: a sentence is longer than {TEXT_MAX} characters")
    if abs(task.priority) > PRIORITY_MAX:
        problems.append(
            f"{name}: priority {task.priority} is outside -{PRIORITY_MAX} … {PRIORITY_MAX}"
        )


def _fan_out_problems(
    task: TaskDraft,
    keys: Collection[str],
    agents: Mapping[str, AgentLike],
    verifiers: Collection[str],
    problems: list[str],
) -> None:
    name, fan_out = f"task `{task.key}`: fan_out", task.fan_out or {}
    if task.retry.get("on_exhausted") == "replan" and not is_division(fan_out):
        problems.append(f"{name}: is divided already; retry.on_exhausted can be fail or ask")
    problems += [
        f"{name}: unknown field `{f}`{did_you_mean(str(f), FAN_OUT)}"
        for f in fan_out
        if f not in FAN_OUT
    ]
    over, most = fan_out.get("over"), fan_out.get("max", CHILDREN_MAX)
    if not isinstance(over, str) or task_of(over.strip().removeprefix("${").rstrip("}")) is None:
        problems.append(
            f"{name}.over is `{over}`;"
            " expected a list of an earlier task, such as ${tasks.plan.output.items}"
        )
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= CHILDREN_MAX:
        problems.append(f"{name}.max is {most!r}; expected 1 … {CHILDREN_MAX}")
    for field_name in ("as", "key"):
        if not isinstance(fan_out.get(field_name, ""), str):
            problems.append(f"{name}.{field_name} is {fan_out[field_name]!r}; expected text")
    if "budget" in fan_out:
        problems += swarm_problems(name, fan_out["budget"])
    template = fan_out.get("task")
    if not isinstance(template, Mapping) or not isinstance(template.get("agent"), str):
        problems.append(f"{name}.task must be an object with an `agent`")
        return
    _template_problems(task, template, keys, agents, verifiers, problems)


def _template_problems(
    task: TaskDraft,
    template: Mapping[str, Any],
    keys: Collection[str],
    agents: Mapping[str, AgentLike],
    verifiers: Collection[str],
    problems: list[str],
) -> None:
    """A template is checked as far as it is known before its items are. What it depends on may be
    a sibling; the rest of LATER is judged with it, when there are children."""
    if "key" in template:
        problems.append(f"task `{task.key}`: fan_out.task has a `key`; say fan_out.key instead")
    fixed = {f: v for f, v in template.items() if f not in LATER and not references(v)}
    inputs = template.get("inputs", {})
    if isinstance(inputs, Mapping) or not references(inputs):
        fixed["inputs"] = inputs
    any_agent = "agent" not in fixed  # which one, the items say
    named = {"agent": PROBE, **fixed, "key": PROBE}
    found: list[str] = []
    child = task_from_json(named, f"task `{task.key}`: fan_out.task", found)
    if child is not None and not any_agent:
        _task_problems(child, keys, agents, verifiers, found)
    name = f"task `{task.key}`: fan_out.task"
    problems += [
        p.replace(f"task `{PROBE}`", name).replace(f"{name} ({PROBE})", name) for p in found
    ]
