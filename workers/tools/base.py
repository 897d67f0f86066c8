"""What a tool is: a name, a schema, a risk, and a function from arguments to text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema

from agentsys.kernel.errors import AgentsysError
from workers.contracts import Risk


class ToolFailed(AgentsysError):
    """The tool could not do what it was asked; the model is told and goes on."""

    code = "tool-failed"
    template = "{tool}: {reason}"


@dataclass(frozen=True, slots=True)
class Tool:
    """`idempotent` tools may be called again after a crash without asking anybody."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Any]
    risk: Risk = Risk.READ
    idempotent: bool = True

    def spec(self) -> dict[str, Any]:
        """What the model is told."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }

    def use(self, args: Mapping[str, Any]) -> Any:
        """Check the arguments, then call; ToolFailed says what is wrong with them."""
        errors = list(
            jsonschema.Draft202012Validator(dict(self.parameters)).iter_errors(dict(args))
        )
        if errors:
            raise ToolFailed(tool=self.name, reason=errors[0].message[:300])
        return self.call(args)
