"""Divides what could not be done in one piece into steps that other agents can do side by side."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from workers import services
from workers.agents.base import Agent
from workers.contracts import Brief, Ports, Report
from workers.domain import course as c
from workers.domain.subplans import STEPS_MAX, subplan_problems
from workers.loop import Loop
from workers.tools import tools_for

TEXT = {"type": "string", "minLength": 1}


class PlannerAgent(Agent):
    name = "planner"
    role = "planning"
    description = (
        "Divides an objective into independent steps for other agents. Needs AGENTSYS_MODEL."
    )
    thinks = True
    inputs_schema: ClassVar = {
        "type": "object",
        "properties": {
            "failed": {"type": "object", "description": "the task that could not be done"},
            "why": {"type": "string"},
            "tried": {"type": "array", "description": "steps of an earlier division"},
            "steps_max": {"type": "integer", "minimum": 1, "maximum": STEPS_MAX},
        },
    }
    output_schema: ClassVar = {
        "type": "object",
        "required": ["steps"],
        "additionalProperties": False,
        "properties": {
            "rationale": {"type": "string"},
            "steps": {
                "type": "array",
                "minItems": 1,
                "maxItems": STEPS_MAX,
                "items": {
                    "type": "object",
                    "required": ["key", "agent", "objective", "inputs"],
                    "additionalProperties": False,
                    "properties": {
                        "key": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,39}$"},
                        "agent": TEXT,
                        "objective": TEXT,
                        "inputs": {"type": "object"},
                    },
                },
            },
        },
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        return _Dividing(brief, ports, tools_for(brief), _schema()).run()


class _Dividing(Loop):
    """A division that is no good goes back to the model with the reasons, within its limits: it is
    handed in, and judged by others, only when it can be run and is not what failed."""

    def _finish(self, call: c.Call) -> c.NotAccepted | Report:
        done = super()._finish(call)
        if not isinstance(done, Report):
            return done
        wrong = self._wrong(done.output["steps"])
        return c.NotAccepted(tuple(wrong)) if wrong else done

    def _wrong(self, steps: list[dict[str, Any]]) -> list[str]:
        given = self._brief.inputs
        failed = {"agent": "", "inputs": None, **(given.get("failed") or {})}
        return subplan_problems(
            steps,
            failed=failed,
            tried=given.get("tried") or (),
            steps_max=given.get("steps_max", STEPS_MAX),
            told_by_inputs=frozenset(
                name
                for name, info in services.agent_info().items()
                if info.inputs_schema.get("required")
            ),
        )


def _schema() -> dict[str, Any]:
    """The output's schema with the agents that there are, and what each of them is to be given: so
    that a wrong step is given back to the model, not found when it is to run."""
    known = {name: info for name, info in services.agent_info().items() if name != "planner"}
    offer = "; ".join(f"{name}: {info.description}" for name, info in sorted(known.items()))
    schema: dict[str, Any] = copy.deepcopy(dict(PlannerAgent.output_schema))
    step = schema["properties"]["steps"]["items"]
    step["properties"]["agent"] = {"enum": sorted(known), "description": offer}
    step["allOf"] = [
        {
            "if": {"properties": {"agent": {"const": name}}},
            "then": {"properties": {"inputs": dict(info.inputs_schema)}},
        }
        for name, info in sorted(known.items())
        if info.inputs_schema
    ]
    return schema
