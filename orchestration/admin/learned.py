"""A playbook that was learned, laid out for who decides on it: what it comes from, takes and does.

Its words were written by agents: the page shows them as quotes. What is decided on is its text, byte for
byte, which stands below, and of which this is an excerpt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestration.admin.steps import step
from orchestration.models import ApprovalRequest
from orchestration.show import document


def learned(row: ApprovalRequest) -> dict[str, Any] | None:
    """For the template, which escapes it; None of a request that is about no playbook."""
    if row.kind != "playbook":
        return None
    context, playbook = row.context, row.context["playbook"]
    return {
        "name": playbook.get("name", ""),
        "description": playbook.get("description", ""),
        "objective": playbook.get("objective", ""),
        "change": _change(context),
        "goals": [_went(each) for each in context.get("goals", ())],
        "ended": context.get("of_this_shape"),
        "parameters": [_parameter(*each) for each in playbook.get("parameters", {}).items()],
        "phases": [
            {"name": phase.get("name", ""), "steps": [step(task) for task in phase["tasks"]]}
            for phase in playbook.get("phases", ())
        ],
        "text": document(playbook),
        "hash": row.action_hash,
    }


def _change(context: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of a playbook that is there: what happens to it, and why."""
    for act in ("retires", "improves"):
        if found := context.get(act):
            return {"act": act, "version": found["version"], "why": found["why"]}
    return None


def _went(goal: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _line(value) for name, value in goal.get("params", {}).items()}
    verdicts = [f"{number} {outcome}" for outcome, number in goal.get("verdicts", {}).items()]
    return {**goal, "values": values, "verdicts": ", ".join(verdicts)}


def _parameter(name: str, given: Any) -> dict[str, Any]:
    """A parameter is written as an object, or as its default alone."""
    about = given if isinstance(given, Mapping) else {"default": given}
    default = _line(about["default"]) if "default" in about else ""
    return {**about, "name": name, "default": default}


def _line(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
