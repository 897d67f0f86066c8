"""Hands over what a swarm came to: its items are done by then, and reduced by the orchestrator."""

from __future__ import annotations

from typing import ClassVar

from workers.agents.base import Agent, done, failed
from workers.contracts import Brief, FailureKind, Ports, Report


class SwarmAgent(Agent):
    name = "swarm"
    role = "operations"
    description = "Maps a micro-agent over many items (a task's `swarm`) and hands over the result."
    lane = "cheap"
    output_schema: ClassVar = {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "minimum": 0},
            "accepted": {"type": "integer", "minimum": 0},
            "failed": {"type": "integer", "minimum": 0},
            "failures": {"type": "array"},
            "result": {},
            "items_sha256": {"type": "string"},
        },
        "required": ["count", "accepted", "failed", "failures", "result", "items_sha256"],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        found = brief.inputs.get("swarm")
        if not isinstance(found, dict):
            return failed(FailureKind.BAD_INPUT, "the task has no `swarm`: say what it maps")
        return done(found, f"{found['accepted']} of {found['count']} items are accepted")
