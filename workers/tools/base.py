"""What a tool is: a name, a schema, a risk, and a function from arguments to text.

The gate (`workers.policy`) decides whether a call is carried out. What reads is; what changes
something is only when it may be repeated, because a call that a crash cut off is made again; what
cannot be undone is proposed, or approved by a person before it is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError

from agentsys.kernel.errors import AgentsysError, LeaseLost
from agentsys.kernel.plugins import is_its_own
from workers.contracts import ProposalDraft, Risk
from workers.policy import Kind, Provenance, Rule

log = structlog.get_logger(__name__)


class ToolFailed(AgentsysError):
    """The tool could not do what it was asked; the model is told and goes on."""

    code = "tool-failed"
    template = "{tool}: {reason}"


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a tool that changed the attempt's own working tree; `state` is the commit that
    holds what it left, so that a replay comes to the same files without doing it again."""

    text: str
    state: str


@dataclass(frozen=True, slots=True)
class Tool:
    """`idempotent` tools may be called again after a crash without asking anybody. `proposes`
    makes the proposal that stands for a call of a tool that must not act itself.

    `kinds` says what arguments stand for, so that the gate can bound them. `origin` says where
    results come from; `vouched` that what they name is as good as named by a person: only for
    sources that nobody else can write to. `approvable`: may be carried out once a person approved
    these very bytes. `replayed` is told arguments and recorded state when a call was answered from
    the journal.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Callable[[Mapping[str, Any]], Any]
    risk: Risk = Risk.READ
    idempotent: bool = True
    proposes: Callable[[Mapping[str, Any]], ProposalDraft] | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    origin: str = "tool"
    vouched: bool = False
    approvable: bool = False
    hosts: tuple[str, ...] | None = None
    replayed: Callable[[Mapping[str, Any], str], None] | None = None
    attached: Callable[[Provenance], None] | None = None  # told what the attempt reads

    @property
    def rule(self) -> Rule:
        """What the gate knows of it."""
        return Rule(
            name=self.name,
            parameters=self.parameters,
            kinds=self.kinds,
            risk=self.risk,
            repeatable=self.idempotent,
            proposes=self.proposes is not None,
            approvable=self.approvable,
            hosts=self.hosts,
        )

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
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # the edge to its own code
            if not is_its_own(error):
                raise
            log.exception("tool crashed", tool=self.name)
            reason = f"{type(error).__name__}: {error}"[:300]
            raise ToolFailed(tool=self.name, reason=reason) from error


def arguments(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object with these arguments and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }
