"""Divides what could not be done in one piece into steps that other agents can do side by side."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from workers import services
from workers.agents.base import Agent
from workers.contracts import Brief, Ports, Report
from workers.loop import Loop
from workers.tools import tools_for

STEPS_MAX = 12
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
        return Loop(brief, ports, tools_for(brief), _schema()).run()


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
