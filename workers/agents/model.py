"""An agent that thinks with a model: a bounded tool-calling loop over any chat model."""

from __future__ import annotations

from typing import Any, ClassVar

from jsonschema import Draft202012Validator, SchemaError

from workers.agents.base import Agent, failed
from workers.contracts import Brief, FailureKind, Ports, Report
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
        try:
            Draft202012Validator.check_schema(dict(schema))
        except SchemaError as error:
            message = f"the task's output_schema is no JSON Schema: {error.message}"
            return failed(FailureKind.BAD_INPUT, message)
        return Loop(brief, ports, tools_for(brief), schema).run()
