"""Asks the model once for each item. The gateway is synchronous: each call waits in a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from agentsys.gateway import Estimate, GatewayError, Spent, chat, profile_for, structured
from agentsys.gateway.metering import estimate_of
from agentsys.gateway.roles import profile_needed
from agentsys.kernel.hashing import canonical
from workers.micro.base import Answer, Bound, Item, MicroAgent, failed_having_used

ROLE = "swarm"  # whose models are asked where `with` names no other
REPAIRS_MAX = 2  # of an answer that does not fit the schema: calls that are reserved, too


class AskMicroAgent(MicroAgent):
    """With a `schema` the answer is an object that fits it; without, text."""

    name: ClassVar[str] = "ask"
    description: ClassVar[str] = "asks the model about each item"
    settings_schema: ClassVar = {
        "type": "object",
        "properties": {
            "prompt": {"type": "string", "minLength": 1, "maxLength": 20_000},
            "schema": {"type": "object"},
            "role": {"type": "string"},
        },
        "required": ["prompt"],
        "additionalProperties": False,
    }

    def run(self, item: Item) -> Answer:
        meter, role = _Sum(), _role(item.settings)
        try:
            output = _asked(item, role, meter)
        except GatewayError as error:
            raise failed_having_used(error, meter.answer(None)) from error.__cause__
        return meter.answer(output)

    def lacks(self, settings: Mapping[str, Any]) -> str:
        role = _role(settings)
        if profile_for(role) is not None:
            return ""
        return f"no model for the role `{role}`: add a model profile or set AGENTSYS_MODEL"

    def bound(self, item: Item) -> Bound:
        profile = profile_needed(_role(item.settings))
        one = estimate_of(profile, _messages(item))
        calls = 1 + (REPAIRS_MAX if item.settings.get("schema") else 0)
        return Bound(one.tokens * calls, one.cost_usd * calls, calls)


def _role(settings: Mapping[str, Any]) -> str:
    return str(settings.get("role", ROLE))


def _asked(item: Item, role: str, meter: _Sum) -> Any:
    schema = item.settings.get("schema")
    if schema:
        return structured(_messages(item), schema, role=role, repairs_max=REPAIRS_MAX, meter=meter)
    return {"text": chat(_messages(item), role=role, meter=meter).text}


def _messages(item: Item) -> Sequence[Mapping[str, Any]]:
    """The item is data, in a message of its own behind what is asked."""
    shown = item.input if isinstance(item.input, str) else canonical(item.input)
    why = f"\nAn earlier answer was refused: {item.reason}" if item.reason else ""
    return [
        {"role": "system", "content": f"{item.settings['prompt']}{why}"},
        {"role": "user", "content": shown},
    ]


class _Sum:
    """What the calls for one item used. Room was reserved for all of them before."""

    def __init__(self) -> None:
        self.made: list[Spent] = []

    def answer(self, output: Any) -> Answer:
        tokens = sum(call.input_tokens + call.output_tokens for call in self.made)
        cost_usd = sum(call.cost_usd for call in self.made)
        return Answer(output, (), tokens, cost_usd, len(self.made), tuple(self.made))

    def reserve(self, estimate: Estimate) -> None: ...

    def settle(self, estimate: Estimate, spent: Spent) -> None:
        self.made.append(spent)
