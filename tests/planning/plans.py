"""Small plans and the agents they may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.domain.plan import plan_from_json
from orchestration.domain.plan_checks import plan_problems

VERIFIERS = ("schema", "safety")


@dataclass(frozen=True)
class Known:
    lane: str = "cheap"
    inputs_schema: Mapping[str, Any] = field(default_factory=dict)
    proposes: bool = False


AGENTS = {
    "noop": Known(),
    "command": Known("agent", {"type": "object", "required": ["argv"]}),
    "coder": Known("agent", proposes=True),
}


def task(key: str, *needs: str, agent: str = "noop", **rest: Any) -> dict[str, Any]:
    return {"key": key, "agent": agent, "depends_on": list(needs), **rest}


def plan(*tasks: Any, **rest: Any) -> dict[str, Any]:
    return {"objective": "to test", "tasks": list(tasks), **rest}


def problems_of(*tasks: Any, tasks_max: int = 20_000) -> list[str]:
    return plan_problems(plan_from_json(plan(*tasks)), AGENTS, VERIFIERS, tasks_max=tasks_max)
