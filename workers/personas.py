"""What makes a model agent out of words alone: instructions, tools, a model, limits, schemas.

A persona is a plain value. Those that people write in the console come from rows
(`workers.profiles`); those of the built-in roles ship (`workers.roles`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from agentsys.kernel.hashing import digest
from workers.contracts import LIMIT_RANGES, Brief, Limits

PROMPT_CHARS_MAX = 20_000
TEXT_OUTPUT: Mapping[str, Any] = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
}


@dataclass(frozen=True, slots=True)
class Persona:
    """`tools` are names; `model` is PROVIDER:NAME, or the role of a model profile, or "" for the
    one of the agent's own name. `output_schema` is what it hands in."""

    name: str
    description: str
    prompt: str
    tools: tuple[str, ...] = ()
    model: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    inputs_schema: Mapping[str, Any] = field(default_factory=dict)
    output_schema: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Persona:
        """From `facts()`; what a later version added has its default."""
        known = {f.name for f in fields(cls)}
        given = {name: value for name, value in facts.items() if name in known}
        return cls(**{**given, "tools": tuple(given.get("tools") or ())})

    def facts(self) -> dict[str, Any]:
        return {**asdict(self), "tools": list(self.tools)}

    @property
    def facts_hash(self) -> str:
        return digest(self.facts())

    @property
    def handed_in(self) -> Mapping[str, Any]:
        return self.output_schema or TEXT_OUTPUT

    def on(self, brief: Brief) -> Brief:
        """The brief as this persona reads it. Its limits bound the task's; its model serves unless
        the task has climbed to another."""
        named = self.model if ":" in self.model else ""
        return replace(
            brief,
            instructions=self.prompt,
            role="" if named else self.model,
            model=brief.model or named,
            limits=bounded(brief.limits, self.limits),
        )


def bounded(limits: Limits, most: Mapping[str, float]) -> Limits:
    """The limits, none above what `most` says of it."""
    return replace(limits, **{name: min(getattr(limits, name), n) for name, n in most.items()})


def limit_problem(name: str, value: float) -> str:
    """What is wrong with one limit; "" when nothing is."""
    low, high = LIMIT_RANGES[name]
    return "" if low <= value <= high else f"{value} is given; expected {low:g} to {high:g}"


def both(agents: Mapping[str, Any], task: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The schema of an output that satisfies the agent's and the task's own."""
    if not task or task == agents:
        return agents
    properties = {**(agents.get("properties") or {}), **(task.get("properties") or {})}
    required: Collection[str] = [*(agents.get("required") or ()), *(task.get("required") or ())]
    return {
        "type": "object",
        "properties": properties,
        "required": list(dict.fromkeys(required)),
        "allOf": [dict(agents), dict(task)],
    }
