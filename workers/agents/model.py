"""An agent that thinks with a model: a bounded tool-calling loop over any chat model."""

from __future__ import annotations

from typing import Any, ClassVar

from agentsys.gateway import check_schema
from workers.agents.base import Agent
from workers.contracts import Brief, Ports, Report
from workers.loop import Loop
from workers.tools import tools_for

DEFAULT_OUTPUT: dict[str, Any] = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
}


class ModelAgent(Agent):
    name = "model"
    role = "reasoning"
    description = (
        "Works with a language model and read-only tools towards an output of the task's own"
        " schema. Needs AGENTSYS_MODEL."
    )
    inputs_schema: ClassVar = {"type": "object"}
    output_schema: ClassVar = {"type": "object"}

    def run(self, brief: Brief, ports: Ports) -> Report:
        schema = brief.output_schema or DEFAULT_OUTPUT
        check_schema(schema)
        return Loop(brief, ports, tools_for(brief), schema).run()
