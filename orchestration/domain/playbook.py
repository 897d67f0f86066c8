"""Playbooks: written or learned procedures with parameters and phases, compiled to plans."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.wording import did_you_mean
from orchestration.domain.expand import resolved_row
from orchestration.domain.plan import (
    PlanDraft,
    TaskDraft,
    as_json,
    capped,
    task_from_json,
)
from orchestration.domain.refs import references, resolve

FIELDS = {"name", "version", "description", "parameters", "objective", "repository", "phases"}
TYPES = ("string", "int", "float", "bool", "path", "list", "object")
UNREADABLE = (TypeError, ValueError, OverflowError, RuntimeError)  # the last: `~nobody`
PHASE_FIELDS = {"name", "tasks"}
_PARAMETER = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,79}$")
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,79}$")
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: str = "string"
    default: Any = None
    required: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class PlaybookDraft:
    name: str
    version: int
    description: str
    objective: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    repository: str = ""
    phases: Sequence[Mapping[str, Any]] = ()


def playbook_from_json(document: Any) -> PlaybookDraft:
    """Read a playbook document; BadInput with every problem of its form."""
    document = as_json(document, "playbook")
    if not isinstance(document, Mapping):
        raise BadInput(what="playbook", problems=["expected an object with name, phases"])
    problems = [
        f"unknown field `{f}`{did_you_mean(str(f), FIELDS)}" for f in document if f not in FIELDS
    ]
    name = str(document.get("name") or "")
    if not _NAME.fullmatch(name):
        problems.append(f"name `{name}` must be lower case letters, digits and dashes")
    phases = document.get("phases")
    if not isinstance(phases, list) or not phases:
        problems.append("`phases` must be a list of {name, tasks}")
        phases = []
    problems += _phase_problems(phases)
    parameters = _parameters(document.get("parameters") or {}, problems)
    version = document.get("version") or 1
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        problems.append(f"version is {version!r}; expected a number, 1 or more")
    if problems:
        raise BadInput(what=f"playbook {name or '?'}", problems=problems)
    return PlaybookDraft(
        name=name,
        version=version,
        description=str(document.get("description") or ""),
        objective=str(document.get("objective") or name),
        parameters=parameters,
        repository=str(document.get("repository") or ""),
        phases=phases,
    )


def _phase_problems(phases: Sequence[Any]) -> list[str]:
    problems = []
    names: set[str] = set()
    for i, phase in enumerate(phases):
        if not isinstance(phase, Mapping) or not isinstance(phase.get("tasks"), list):
            problems.append(f"phases[{i}] must be an object with name and tasks")
            continue
        problems += [
            f"phases[{i}]: unknown field `{f}`{did_you_mean(str(f), PHASE_FIELDS)}"
            for f in phase
            if f not in PHASE_FIELDS
        ]
        name = phase.get("name") or ""
        if not isinstance(name, str):
            problems.append(f"phases[{i}]: name is {name!r}; expected text")
        elif name and name in names:
            problems.append(f"phases[{i}]: the name `{name}` is used twice")
        names.add(str(name))
    return problems


def _parameters(rows: Any, problems: list[str]) -> dict[str, Parameter]:
    if not isinstance(rows, Mapping):
        problems.append("`parameters` must be an object: name → {type, default, required}")
        return {}
    found = {}
    for name, row in rows.items():
        row = {} if row is None else row
        if not isinstance(row, Mapping):
            problems.append(f"parameter {name}: is {row!r}; expected type, default, required")
            continue
        if row.get("type", "string") not in TYPES:
            problems.append(f"parameter {name}: type must be one of {', '.join(TYPES)}")
        unknown = {str(f) for f in row} - {"type", "default", "required", "description"}
        if unknown:
            problems.append(f"parameter {name}: unknown {', '.join(sorted(unknown))}")
            continue
        if not _PARAMETER.fullmatch(str(name)):
            problems.append(f"parameter {name}: expected a name of letters, digits, _ and -")
        found[name] = Parameter(name=name, **row)
        problems += [f"parameter {name}: {p}" for p in _faults(row)]
    return found


def _faults(row: Mapping[str, Any]) -> list[str]:
    kind, default = row.get("type", "string"), row.get("default")
    faults = []
    if not isinstance(row.get("required", False), bool):
        faults.append(f"required is {row['required']!r}; expected true or false")
    if not isinstance(row.get("description", ""), str):
        faults.append(f"description is {row['description']!r}; expected text")
    if default is not None and kind in TYPES:
        try:
            _read(kind, default)
        except UNREADABLE:
            faults.append(f"the default is {default!r}; expected {kind}")
    return faults


def parameters_read(playbook: PlaybookDraft, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all parameters: those given (texts are read by type), else the defaults.

    BadInput names every unknown, missing and unreadable one.
    """
    problems = [
        f"unknown parameter `{name}`{did_you_mean(name, playbook.parameters)}"
        f" (there are: {', '.join(playbook.parameters) or 'none'})"
        for name in given
        if name not in playbook.parameters
    ]
    values = {}
    for name, parameter in playbook.parameters.items():
        if name not in given:
            if parameter.required:
                problems.append(
                    f"parameter `{name}` ({parameter.type}) is missing:"
                    f" {parameter.description or 'no description'}; give it as --param {name}=…"
                )
            default = parameter.default
            values[name] = default if default is None else _read(parameter.type, default)
            continue
        try:
            values[name] = _read(parameter.type, given[name])
        except UNREADABLE:
            said = repr(given[name])[:200]
            problems.append(f"parameter `{name}` is {said}; expected {parameter.type}")
    if problems:
        raise BadInput(what=f"playbook {playbook.name}", problems=problems)
    return values


def _read(kind: str, value: Any) -> Any:
    """`value` as the type says; texts are read, other types are not bent into this one."""
    text = isinstance(value, str)
    match kind:
        case "int":
            return _number(value, int)
        case "float":
            return _number(value, float)
        case "bool":
            return _bool(value)
        case "list" if text:
            return [part.strip() for part in value.split(",") if part.strip()]
        case "list" if isinstance(value, list | tuple):
            return list(value)
        case "path" if text and value.strip() and "\0" not in value:
            return str(Path(value).expanduser().absolute())
        case "object" if isinstance(value, Mapping):
            return dict(value)
        case "object" if text and isinstance(found := json.loads(value), Mapping):
            return dict(found)
        case "string" if text or isinstance(value, int | float):
            return str(value)
    raise ValueError(value)


def _number(value: Any, kind: type[int] | type[float]) -> int | float:
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise ValueError(value)  # 1.5 is no whole number, and true is none
    number = kind(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in _TRUE:
        return True
    if str(value).lower() in _FALSE:
        return False
    raise ValueError(value)


def compile_playbook(playbook: PlaybookDraft, given: Mapping[str, Any]) -> PlanDraft:
    """The plan of a playbook with these parameters.

    A task with `after: PHASE` depends on every task of that phase, besides its `depends_on`.
    """
    params = parameters_read(playbook, given)
    scope = {"params": params}
    problems: list[str] = []
    by_phase: dict[str, list[str]] = {}
    tasks: list[TaskDraft] = []
    for phase in playbook.phases:
        name = str(phase.get("name") or f"phase-{len(by_phase) + 1}")
        drafts = _phase_tasks(phase, name, scope, by_phase, problems)
        by_phase[name] = [d.key for d in drafts]
        tasks += drafts
    objective = _filled("objective", playbook.objective, scope, problems)
    repository = _filled("repository", playbook.repository, scope, problems)
    if problems:
        raise BadInput(what=f"playbook {playbook.name}", problems=capped(problems))
    return PlanDraft(
        objective=objective,
        tasks=tuple(tasks),
        rationale=playbook.description,
        planner="playbook",
        repository=repository,
        playbook=playbook.name,
        params=params,
    )


def _filled(what: str, text: str, scope: Mapping[str, Any], problems: list[str]) -> str:
    try:
        return str(resolve(text, scope) or "")
    except BadInput as error:
        problems += [f"{what}: {p}" for p in error.problems]
        return ""


def _phase_tasks(
    phase: Mapping[str, Any],
    name: str,
    scope: Mapping[str, Any],
    by_phase: Mapping[str, list[str]],
    problems: list[str],
) -> list[TaskDraft]:
    drafts = []
    for i, raw in enumerate(phase["tasks"]):
        row = _resolved(raw, scope, f"{name}[{i}]", problems)
        if row is None:
            continue
        after = row.pop("after", None)
        draft = task_from_json({"phase": name, **row}, f"{name}[{i}]", problems)
        if draft is None:
            continue
        if after is not None and str(after) not in by_phase:
            problems.append(f"{name}[{i}]: after `{after}` names no earlier phase")
        needs = (*draft.depends_on, *by_phase.get(str(after), ()))
        drafts.append(replace(draft, depends_on=tuple(dict.fromkeys(needs))))
    return drafts


def _resolved(
    raw: Any, scope: Mapping[str, Any], where: str, problems: list[str]
) -> dict[str, Any] | None:
    if not isinstance(raw, Mapping):
        problems.append(f"{where} must be an object")
        return None
    try:
        row = resolved_row(raw, scope)
    except BadInput as error:
        problems += [f"{where}: {p}" for p in error.problems]
        return None
    left = {r for r in references(row) if r.startswith("params")}
    problems += [f"{where}: ${{{r}}} names no parameter" for r in sorted(left)]
    return row
