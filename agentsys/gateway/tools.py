"""Tools written for langchain, as plain values: what they are called, what they take, their result.

Whoever hands in a `BaseTool` has imported langchain already; nothing here does so before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ForeignTool:
    """A langchain tool's name, description and JSON Schema of arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    tool: Any

    def call(self, args: Mapping[str, Any]) -> Any:
        """Its result as JSON types, or as text where it has no JSON form."""
        from agentsys.kernel.hashing import plain

        found = self.tool.invoke(dict(args))
        try:
            return plain(found)
        except (TypeError, ValueError):
            return str(found)


def foreign_tool(tool: Any) -> ForeignTool:
    """Read a langchain `BaseTool`; BadInput for anything else."""
    from langchain_core.tools import BaseTool
    from langchain_core.utils.function_calling import convert_to_openai_tool

    from agentsys.kernel.errors import BadInput

    if not isinstance(tool, BaseTool):
        problem = f"{type(tool).__name__} is no langchain BaseTool; decorate a function with @tool"
        raise BadInput(what="tool", problems=[problem])
    told = convert_to_openai_tool(tool)["function"]
    parameters = told.get("parameters") or {"type": "object", "properties": {}}
    return ForeignTool(told["name"], told.get("description") or "", parameters, tool)
