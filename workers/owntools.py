"""What every model agent has beside its tools: to finish, ask, hand back, and, where verifiers have
rejected its task, to appeal."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from agentsys.gateway import GatewayError
from workers.claims import CLAIMS, SCHEMA, with_claims
from workers.domain.deciding import APPEAL, ASK, FINISH, HAND_BACK

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


def appeal_spec(verifiers: Sequence[str]) -> dict[str, Any]:
    return {
        "name": APPEAL,
        "description": "Instead of new work: what was rejected stands as it was and is judged once more"
        " with new evidence. Only where the verifier was wrong and you can show it. Once.",
        "parameters": {
            "type": "object",
            "required": ["verifier", "because", CLAIMS],
            "properties": {
                "verifier": {"type": "string", "enum": list(verifiers)},
                "because": {"type": "string", "minLength": 1},
                CLAIMS: {**SCHEMA, "minItems": 1},
            },
        },
    }


def overflow_of(error: GatewayError) -> str:
    """What the model said, when it said that the prompt is too long for it; else nothing.

    Providers have no common code for it: most answer 400 with a sentence.
    """
    if "context" in error.code.split("-") or _TOO_LONG.search(str(error)):
        return str(error)[:300]
    return ""


def remarks(answer: Mapping[str, Any]) -> list[str]:
    """What the model is told of its answer, beside the results of its calls."""
    found = []
    if answer["malformed"]:
        names = ", ".join(answer["malformed"])
        found.append(f"The arguments of your call of {names} are not JSON. Call again.")
    if answer["cut_off"]:
        found.append("Your answer was cut off at the token limit. Be brief.")
    return found


def garbled_by(answer: Mapping[str, Any], tools: Collection[str]) -> str:
    """What keeps calls of an answer from being read; "" when nothing does. Only names of `tools`
    are repeated: this is shown to people, and to the next attempt."""
    if not answer["malformed"]:
        return ""
    named = sorted({f"`{n}`" if n in tools else "no such tool" for n in answer["malformed"]})
    cut = " (cut off at the token limit)" if answer["cut_off"] else ""
    return f"the arguments of its call of {', '.join(named)} were no JSON{cut}"


def _needing(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "string"}},
    }
