"""A task of a plan or a playbook, laid out for who reads it before it runs: in a line, and field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.cli.showing import laid_out

IN_THE_LINE = ("key", "agent", "objective", "depends_on")
FIRST = ("objective", "phase", "inputs")  # the others follow as they are
EXPANDED = (  # a line for each of their fields
    "inputs", "params", "limits", "retry", "approval", "fan_out",
)  # fmt: skip
PROSE = ("acceptance", "non_goals")  # a line for each of their texts
TOLD_MAX = 4000  # characters of one value; the exact text has all of it


def step(task: Mapping[str, Any]) -> dict[str, Any]:
    """What `console/_step_line.html` says of it."""
    return {
        "key": task.get("key", ""),
        "agent": task.get("agent", ""),
        "objective": task.get("objective", ""),
        "needs": ", ".join(task.get("depends_on", ())),
        "verify": ", ".join(_verifiers(task.get("verify"))),
        "each": bool(task.get("fan_out")),
        "person": bool((task.get("approval") or {}).get("required")),
    }


def task_facts(task: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the line does not say, or not all of it."""
    named = isinstance(task.get("verify"), list)
    return facts(task, without=(*IN_THE_LINE, *(("verify",) if named else ())))


def facts(document: Mapping[str, Any], without: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Name and value of each field that says something, for people."""
    return [(name, _told(value)) for name, value in _fields(document, without)]


def _told(value: Any) -> str:
    told = value if isinstance(value, str) else laid_out(value)
    return told if len(told) <= TOLD_MAX else f"{told[:TOLD_MAX]}…"


def _fields(document: Mapping[str, Any], without: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    first = [name for name in FIRST if name in document]
    for name in dict.fromkeys([*first, *document]):
        value = document[name]
        if name in without or value in (None, "", [], {}, False):
            continue
        if name in EXPANDED and isinstance(value, Mapping):
            yield from ((f"{name}.{field}", one) for field, one in value.items())
        elif name in PROSE and isinstance(value, list):
            yield name, "\n".join(map(str, value))
        else:
            yield name, value


def _verifiers(verify: Any) -> list[str]:
    return list((verify.get("required") if isinstance(verify, Mapping) else verify) or ())
