"""What a tool is: a name, a schema, a risk, and a function from arguments to text.

The gate decides whether a call is carried out. What reads is; what changes something is only when
it may be repeated, because a call that a crash cut off is made again; what cannot be undone is
never carried out here: such a tool gives a proposal, and people decide on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError

from agentsys.gateway import violations
from agentsys.kernel.errors import AgentsysError, LeaseLost
from workers.contracts import ProposalDraft, Risk

log = structlog.get_logger(__name__)


class ToolFailed(AgentsysError):
    """The tool could not do what it was asked; the model is told and goes on."""

    code = "tool-failed"
    template = "{tool}: {reason}"


@dataclass(frozen=True, slots=True)
class Tool:
    """`idempotent` tools may be called again after a crash without asking anybody. `proposes`
    makes the proposal that stands for a call of a tool that must not act itself."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Any]
    risk: Risk = Risk.READ
    idempotent: bool = True
    proposes: Callable[[Mapping[str, Any]], ProposalDraft] | None = None

    def spec(self) -> dict[str, Any]:
        """What the model is told."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": dict(self.parameters),
        }

    def use(self, args: Mapping[str, Any]) -> Any:
        """Call it; ToolFailed says what went wrong. A database that is away goes through: it is
        not the model that can help it."""
        try:
            return self.call(args)
        except (ToolFailed, LeaseLost, DatabaseError, InterfaceError):
            raise
        except AgentsysError as error:
            raise ToolFailed(tool=self.name, reason=str(error)) from error
        except Exception as error:  # the edge to a tool's own code
            log.exception("tool crashed", tool=self.name)
            reason = f"{type(error).__name__}: {error}"[:300]
            raise ToolFailed(tool=self.name, reason=reason) from error


def gate(tool: Tool, args: Mapping[str, Any]) -> None:
    """ToolFailed unless this call may go on, to be carried out or to be proposed."""
    if wrong := violations(dict(args), tool.parameters):
        raise ToolFailed(tool=tool.name, reason="; ".join(wrong))
    if tool.risk is Risk.IRREVERSIBLE and tool.proposes is None:
        raise ToolFailed(tool=tool.name, reason="it cannot be undone, so it is only ever proposed")
    if tool.risk is Risk.WRITE and not tool.idempotent and tool.proposes is None:
        raise ToolFailed(tool=tool.name, reason="a crash could repeat it, so it is never done here")
