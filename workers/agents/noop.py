"""Does nothing and says so: for benchmarks, and for joining branches of a plan."""

from __future__ import annotations

from typing import ClassVar

from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report


class NoopAgent(Agent):
    name = "noop"
    role = "operations"
    proposes = False
    description = "Echoes its inputs. Takes microseconds and touches nothing."
    lane = "cheap"
    output_schema: ClassVar = {
        "type": "object",
        "properties": {"echo": {"type": "object"}},
        "required": ["echo"],
        "additionalProperties": False,
    }

    def run(self, brief: Brief, ports: Ports) -> Report:
        return done({"echo": brief.inputs})
