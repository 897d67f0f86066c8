"""A playbook for people and for programs: what it takes, and its tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from orchestration.cli.output import safe, table
from orchestration.domain.playbook import Parameter, PlaybookDraft


def parameters_json(playbook: PlaybookDraft) -> dict[str, Any]:
    """By name: `type`, `default`, whether it is `required`, `description`."""
    return {
        name: {each: getattr(one, each) for each in ("type", "default", "required", "description")}
        for name, one in playbook.parameters.items()
    }


def playbook_json(playbook: PlaybookDraft) -> dict[str, Any]:
    return {
        "name": playbook.name,
        "version": playbook.version,
        "description": playbook.description,
        "objective": playbook.objective,
        "repository": playbook.repository,
        "parameters": parameters_json(playbook),
        "phases": list(playbook.phases),
    }


def playbook_shown(playbook: PlaybookDraft) -> Iterator[RenderableType]:
    """For `Command.show`."""
    yield safe(f"playbook {playbook.name}, version {playbook.version}")
    yield safe(playbook.description)
    yield safe(f"objective: {playbook.objective}")
    yield ""
    if playbook.parameters:
        rows = map(_parameter_cells, playbook.parameters.values())
        yield table(("parameter", "type", "as usual", "what it is"), rows)
    else:
        yield "It takes no parameters."
    yield ""
    columns = ("task", "phase", "agent", "needs", "verify", "what it does")
    yield table(columns, _task_rows(playbook.phases))


def verifiers(verify: Any) -> str:
    """A task's own verification policy in a word or two; empty: its agent's."""
    names = verify.get("required", []) if isinstance(verify, Mapping) else verify
    return " ".join(names or ())


def _parameter_cells(one: Parameter) -> tuple[str, ...]:
    usual = "must be given" if one.required else _typed(one.default)
    return one.name, one.type, usual, one.description


def _typed(default: Any) -> str:
    """As `--param NAME=` takes it."""
    match default:
        case None:
            return ""
        case str():
            return default
        case list():
            return ",".join(map(str, default))
        case _:
            return json.dumps(default, ensure_ascii=False)


def _task_rows(phases: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for phase in phases:
        for task in phase["tasks"]:
            needs = list(task.get("depends_on", ()))
            needs += [f"all of {task['after']}"] if task.get("after") else []
            verify = verifiers(task.get("verify"))
            cells = (task.get("key"), phase.get("name"), task.get("agent"), ", ".join(needs))
            yield *cells, verify, _does(task)


def _does(task: Mapping[str, Any]) -> str:
    parts = [str(task.get("objective", ""))]
    if fan_out := task.get("fan_out"):
        parts.append(f"once for each of {fan_out.get('over', 'a list')}")
    if (task.get("approval") or {}).get("required"):
        parts.append("a person approves")
    return "; ".join(part for part in parts if part)
