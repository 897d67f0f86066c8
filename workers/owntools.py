"""What every model agent has beside its tools: to finish, ask, hand back, and read on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from agentsys.gateway import GatewayError
from workers.claims import CLAIMS, with_claims
from workers.domain.deciding import ASK, FINISH, HAND_BACK
from workers.prompts import READ_BACK
from workers.tools import Tool, ToolFailed

CHARS_MAX = 8_000  # of one reading
_TOO_LONG = re.compile(
    r"context.?(?:length|window|size|overflow)|maximum context|prompt is too long"
    r"|too many (?:input )?tokens|input (?:is )?too long|reduce the length",
    re.IGNORECASE,
)


def finish_spec(schema: Mapping[str, Any]) -> dict[str, Any]:
    own = CLAIMS in (schema.get("properties") or {})
    parameters = {"type": "object", **schema} if own else with_claims(schema)
    return {
        "name": FINISH,
        "description": "Hand in the output; the task ends.",
        "parameters": parameters,
    }


def ask_spec() -> dict[str, Any]:
    return {
        "name": ASK,
        "description": "Ask a person and wait. Only when the task cannot be done without.",
        "parameters": _needing("question"),
    }


def hand_back_spec() -> dict[str, Any]:
    return {
        "name": HAND_BACK,
        "description": "Give the task back, undone: it is not one that you can do. Say why.",
        "parameters": _needing("reason"),
    }


def read_back(behind: Callable[[str], str | None]) -> Tool:
    """`behind` gives the text of a handle, or None for one that it does not know."""

    def call(args: Mapping[str, Any]) -> str:
        handle, first = str(args["handle"]), int(args.get("start", 0))
        text = behind(handle)
        if text is None:
            raise ToolFailed(tool=READ_BACK, reason=f"there is no handle {handle[:80]}")
        shown = text[first : first + CHARS_MAX]
        return f"characters {first} to {first + len(shown)} of {len(text)}\n{shown}"

    parameters = _needing("handle")
    parameters["properties"]["start"] = {"type": "integer", "minimum": 0}
    description = f"The text behind a handle, {CHARS_MAX} characters from `start` on."
    return Tool(READ_BACK, description, parameters, call)


def overflow_of(error: GatewayError) -> str:
    """What the model said, when it said that the prompt is too long for it; else nothing.

    Providers have no common code for it: most answer 400 with a sentence.
    """
    if "context" in error.code.split("-") or _TOO_LONG.search(str(error)):
        return str(error)[:300]
    return ""


def _needing(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "string"}},
    }
