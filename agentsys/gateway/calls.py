"""Asking a model: one call, or an answer of a given form with bounded repair."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from agentsys.gateway.errors import BadModelOutput, Refused, translated
from agentsys.gateway.profiles import ModelProfile, chat_model, profile_needed
from agentsys.kernel.hashing import plain

Message = Mapping[str, Any]
REPAIRS_MAX = 2
ANSWER_CHARS_MAX = 1_000_000
CHARS_A_TOKEN = 3  # when a provider does not say: an upper bound for English and code


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What a model said. Token counts are upper bounds when `measured` is False."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    input_tokens: int
    output_tokens: int
    cost_usd: float
    model: str
    latency_ms: int
    measured: bool = True


def chat(
    messages: Sequence[Message], *, role: str, tools: Sequence[Mapping[str, Any]] = ()
) -> ChatResult:
    """One call. `messages` are {"role": system | user | assistant | tool, "content", …};
    `tools` are {"name", "description", "parameters"}. Raises the errors of this package."""
    profile = profile_needed(role)
    model = chat_model(profile)
    bound = model.bind_tools([_tool(t) for t in tools]) if tools else model
    started = time.monotonic()
    try:
        answer = bound.invoke([_message(m) for m in messages])
    except Exception as error:  # the edge to a provider's SDK: every one has its own exceptions
        raise translated(error, str(profile)) from error
    return _result(profile, messages, answer, time.monotonic() - started)


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": dict(tool)}


def _message(message: Message) -> Any:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    content = str(message.get("content") or "")
    match message["role"]:
        case "system":
            return SystemMessage(content)
        case "assistant":
            calls = [dict(c) for c in message.get("tool_calls") or ()]
            return AIMessage(content, tool_calls=calls)
        case "tool":
            return ToolMessage(content, tool_call_id=message["tool_call_id"])
        case _:
            return HumanMessage(content)


def _result(
    profile: ModelProfile, messages: Sequence[Message], answer: Any, seconds: float
) -> ChatResult:
    text = _text(answer.content)
    refusal = (getattr(answer, "additional_kwargs", None) or {}).get("refusal")
    reason = (getattr(answer, "response_metadata", None) or {}).get("finish_reason")
    if refusal or reason == "content_filter":
        raise Refused(model=str(profile), reason=str(refusal or reason)[:300])
    usage = getattr(answer, "usage_metadata", None) or {}
    measured = bool(usage)
    asked = sum(len(str(m.get("content") or "")) for m in messages)
    spent_in = int(usage.get("input_tokens") or asked // CHARS_A_TOKEN + 1)
    spent_out = int(usage.get("output_tokens") or len(text) // CHARS_A_TOKEN + 1)
    return ChatResult(
        text=text,
        tool_calls=tuple(
            ToolCall(str(c.get("id") or n), c["name"], plain(c.get("args") or {}))
            for n, c in enumerate(getattr(answer, "tool_calls", None) or ())
        ),
        input_tokens=spent_in,
        output_tokens=spent_out,
        cost_usd=profile.cost_usd(spent_in, spent_out),
        model=str(profile),
        latency_ms=int(seconds * 1000),
        measured=measured,
    )


def _text(content: Any) -> str:
    """A message's content is text, or a list of blocks of which some are text."""
    if isinstance(content, list):
        content = "".join(b if isinstance(b, str) else str(b.get("text", "")) for b in content)
    return str(plain(str(content)))[:ANSWER_CHARS_MAX]


def structured(
    messages: Sequence[Message],
    schema: Mapping[str, Any],
    *,
    role: str,
    repairs_max: int = REPAIRS_MAX,
) -> dict[str, Any]:
    """A JSON object that satisfies `schema`.

    A wrong answer is given back with what is wrong, at most `repairs_max` times; then
    BadModelOutput.
    """
    asked = [*messages, {"role": "user", "content": _form(schema)}]
    problem = ""
    for _ in range(1 + repairs_max):
        result = chat(asked, role=role)
        value, problem = _checked(result.text, schema)
        if value is not None:
            return value
        asked += [
            {"role": "assistant", "content": result.text[:20_000]},
            {
                "role": "user",
                "content": f"That cannot be used: {problem}. Answer again, JSON only.",
            },
        ]
    raise BadModelOutput(model=str(profile_needed(role)), reason=problem)


def _form(schema: Mapping[str, Any]) -> str:
    return (
        "Answer with one JSON object and nothing else. It must satisfy this JSON Schema:\n"
        + json.dumps(dict(schema))
    )


def _checked(text: str, schema: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    found = re.search(r"\{.*\}", text, re.DOTALL)
    if found is None:
        return None, "there is no JSON object in the answer"
    try:
        value = plain(json.loads(found[0]))
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    errors = list(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value))
    if errors:
        first = errors[0]
        return None, f"at {'.'.join(map(str, first.path)) or 'the top'}: {first.message[:300]}"
    return value, ""
