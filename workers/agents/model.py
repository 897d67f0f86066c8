"""An agent that thinks with a model: a bounded tool-calling loop over any chat model."""

from __future__ import annotations

from typing import ClassVar

from agentsys.gateway import check_schema
from workers.agents.base import Agent
from workers.contracts import Brief, Ports, Report
from workers.loop import Loop
from workers.personas import TEXT_OUTPUT
from workers.tools import Kit


class ModelAgent(Agent):
    name = "model"
    role = "reasoning"
    description = (
        "Works with a language model and tools towards an output of the task's own schema; with"
        " write scopes it changes files in a tree of its own and proposes the change. Needs"
        " AGENTSYS_MODEL."
    )
    thinks = True
    inputs_schema: ClassVar = {"type": "object"}
    output_schema: ClassVar = {"type": "object"}

    def run(self, brief: Brief, ports: Ports) -> Report:
        schema = brief.output_schema or TEXT_OUTPUT
        check_schema(schema)
        kit = Kit.of(brief, ports)
        return kit.finished(Loop(brief, ports, kit.tools, schema).run())
