"""Asking a model: one call, or an answer of a given form with bounded repair."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentsys.gateway.answers import check_schema, fitting, form
from agentsys.gateway.errors import (
    BadModelOutput,
    GatewayError,
    ProviderOutage,
    Refused,
    translated,
)
from agentsys.gateway.metering import Estimate, Meter, Spent, estimate_of, tokens_of, usage_of
from agentsys.gateway.patience import first_answer
from agentsys.gateway.profiles import ModelProfile
from agentsys.gateway.providers import chat_model, says_end, takes_schema
from agentsys.gateway.redaction import redacted_value
from agentsys.gateway.roles import chain_needed, profile_needed
from agentsys.gateway.room import Room
from agentsys.kernel.hashing import plain

Message = Mapping[str, Any]
REPAIRS_MAX = 2
ANSWER_CHARS_MAX = 1_000_000
SHOWN_AGAIN_CHARS = 20_000  # of a wrong answer, when it is given back
REFUSALS = frozenset(
    {"content_filter", "refusal"}
    | {"safety", "prohibited_content", "blocklist", "spii", "recitation"}  # Google's
)
CUT_OFF = frozenset({"length", "max_tokens"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What a model said. Token counts are upper bounds when `measured` is False.

    `malformed`: names of the tools that it called with something that is not JSON. `cut_off`: the
    answer ended at its token limit. Cached tokens are a part of the input, reasoning tokens of the
    output.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    input_tokens: int
    output_tokens: int
    cost_usd: float
    model: str
    latency_ms: int
    measured: bool = True
    malformed: tuple[str, ...] = ()
    cut_off: bool = False
    cached_tokens: int = 0
    reasoning_tokens: int = 0


def chat(
    messages: Sequence[Message],
    *,
    role: str,
    tools: Sequence[Mapping[str, Any]] = (),
    meter: Meter | None = None,
    model: str = "",
    schema: Mapping[str, Any] | None = None,
    first: str = "",
    room: Room | None = None,
) -> ChatResult:
    """One answer. `messages` are {"role": system | user | assistant | tool, "content", …};
    `tools` are {"name", "description", "parameters"}; `model` is PROVIDER:NAME instead of the
    role's, `first` the one of the role's models to begin with; `schema` is what the answer should
    fit, for providers that can hold a model to it; `room` is what the call may use at most, which
    makes the answer shorter where that is needed. Secrets are taken out before anything is sent.
    Raises the errors of this package, and what `meter.reserve` raises; the meter is told of every
    call that is made, those to a fallback included.
    """
    chain = chain_needed(role, model, first)
    sent = [redacted_value(message) for message in messages]
    if room is not None:
        chain = room.fitted(chain, tokens_of(sent, tools))

    def tokens(profile: ModelProfile) -> int:
        return estimate_of(profile, sent, tools).tokens

    def call(profile: ModelProfile) -> ChatResult:
        return _metered(profile, role, sent, tools, meter, schema)

    return first_answer(chain, tokens, call)


def _metered(
    profile: ModelProfile,
    role: str,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    meter: Meter | None,
    schema: Mapping[str, Any] | None,
) -> ChatResult:
    """One call of one model, reserved before and settled after."""
    estimate = estimate_of(profile, messages, tools)
    if meter is not None:
        meter.reserve(estimate)
    result, outcome, started = None, "error", time.monotonic()
    try:
        answer = _asked(profile, messages, tools, schema)
        _whole(profile, answer)
        result = _result(profile, estimate, answer, time.monotonic() - started)
        _refuse(profile, answer)
        outcome = "ok"
    except GatewayError as error:
        outcome = error.code
        raise
    finally:
        if meter is not None:
            meter.settle(estimate, _spent(role, profile, outcome, result, started))
    return result


@dataclass(frozen=True, slots=True)
class Answer:
    """`model` is who gave it: the first of the role's, or a fallback."""

    value: dict[str, Any]
    model: str


def structured(
    messages: Sequence[Message],
    schema: Mapping[str, Any],
    *,
    role: str,
    repairs_max: int = REPAIRS_MAX,
    meter: Meter | None = None,
) -> dict[str, Any]:
    """The value of `answered`."""
    return answered(messages, schema, role=role, repairs_max=repairs_max, meter=meter).value


def answered(
    messages: Sequence[Message],
    schema: Mapping[str, Any],
    *,
    role: str,
    first: str = "",
    repairs_max: int = REPAIRS_MAX,
    meter: Meter | None = None,
) -> Answer:
    """A JSON object that satisfies `schema`; BadInput, before anything is asked, when that is none.

    A wrong answer is given back with what is wrong, at most `repairs_max` times; then
    BadModelOutput. `first` is the one of the role's models to begin with.
    """
    check_schema(schema)
    asked = [*messages, {"role": "user", "content": form(schema)}]
    problem = ""
    for _ in range(1 + repairs_max):
        result = chat(asked, role=role, meter=meter, schema=schema, first=first)
        value, problem = fitting(result.text, schema)
        if value is not None:
            return Answer(value, result.model)
        if result.cut_off:
            problem += ". It was cut off at the token limit: make it shorter"
        mend = f"That cannot be used: {problem}. Answer again, JSON only."
        asked += [
            {"role": "assistant", "content": result.text[:SHOWN_AGAIN_CHARS] or "(nothing)"},
            {"role": "user", "content": mend},
        ]
    raise BadModelOutput(model=str(profile_needed(role)), reason=problem)


def _asked(
    profile: ModelProfile,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    schema: Mapping[str, Any] | None,
) -> Any:
    model = chat_model(profile)
    if tools:
        model = model.bind_tools([{"type": "function", "function": dict(t)} for t in tools])
    elif schema is not None and takes_schema(profile.provider):
        model = model.bind(schema=dict(schema))
    try:
        return model.invoke([_message(message) for message in messages])
    except AssertionError:  # a script that does not fit its test is no fault of a model
        raise
    except Exception as error:  # the edge to a provider's SDK: every one has its own exceptions
        raise translated(error, str(profile)) from error


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


def _refuse(profile: ModelProfile, answer: Any) -> None:
    said = (getattr(answer, "additional_kwargs", None) or {}).get("refusal")
    said = said or _blocked(answer)
    reason = said or (_ended(answer) in REFUSALS and f"it ended with {_ended(answer)}")
    if reason:
        raise Refused(
            model=str(profile), reason=redacted_value(plain(str(reason))[:300], own_only=True)
        )


def _blocked(answer: Any) -> str:
    """Google answers nothing at all to a prompt that it does not take."""
    facts = getattr(answer, "response_metadata", None) or {}
    reason = (facts.get("prompt_feedback") or {}).get("block_reason")
    return f"the prompt was blocked: {getattr(reason, 'name', reason)}" if reason else ""


def _whole(profile: ModelProfile, answer: Any) -> None:
    """ProviderOutage for an answer that broke off, where that can be seen by its want of an end."""
    if says_end(profile.provider) and not _ended(answer):
        raise ProviderOutage(model=str(profile), reason="the answer broke off")


def _ended(answer: Any) -> str:
    """Why the answer ended, in small letters; providers differ in the name."""
    facts = getattr(answer, "response_metadata", None) or {}
    return str(
        facts.get("finish_reason") or facts.get("stop_reason") or facts.get("done_reason") or ""
    ).lower()


def _result(profile: ModelProfile, estimate: Estimate, answer: Any, seconds: float) -> ChatResult:
    text = _text(answer.content)
    calls, wrong = _calls(answer)
    said = tokens_of(text, [[call.name, dict(call.args)] for call in calls])
    usage = usage_of(answer, estimate.input_tokens, said)
    return ChatResult(
        text=text,
        tool_calls=calls,
        input_tokens=usage.input,
        output_tokens=usage.output,
        cost_usd=profile.cost_usd(usage.input, usage.output, usage.cached),
        model=str(profile),
        latency_ms=int(seconds * 1000),
        measured=usage.measured,
        malformed=wrong,
        cut_off=_ended(answer) in CUT_OFF,
        cached_tokens=usage.cached,
        reasoning_tokens=usage.reasoning,
    )


def _calls(answer: Any) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
    """The calls that can be made, and the names of those that cannot: their arguments have no JSON
    form, or are no object. Ids are made up where they are missing, or used twice."""
    calls: dict[str, ToolCall] = {}
    wrong = [str(plain(str(c.get("name") or "?"))) for c in answer.invalid_tool_calls or ()]
    for n, said in enumerate(answer.tool_calls or ()):
        name, identity = str(plain(str(said["name"]))), str(plain(str(said.get("id") or "")))
        if not identity or identity in calls:
            identity = f"{identity or 'call'}-{n}"
        try:
            args = redacted_value(plain(said.get("args") or {}), own_only=True)
            calls[identity] = ToolCall(identity, name, dict(args))
        except (ValueError, TypeError, RecursionError):
            wrong.append(name)
    return tuple(calls.values()), tuple(wrong)


def _spent(
    role: str, profile: ModelProfile, outcome: str, result: ChatResult | None, started: float
) -> Spent:
    """A call that brought no answer used nothing that anybody told us of."""
    return Spent(
        role=role,
        model=str(profile),
        outcome=outcome,
        input_tokens=result.input_tokens if result else 0,
        output_tokens=result.output_tokens if result else 0,
        cost_usd=result.cost_usd if result else 0.0,
        cached_tokens=result.cached_tokens if result else 0,
        reasoning_tokens=result.reasoning_tokens if result else 0,
        latency_ms=int((time.monotonic() - started) * 1000),
    )


def _text(content: Any) -> str:
    """A message's content is text, or a list of blocks of which some are text: others hold what
    the model thought, and are no answer."""
    if isinstance(content, list):
        content = "".join(_block(block) for block in content)
    return str(redacted_value(str(plain(str(content)))[:ANSWER_CHARS_MAX], own_only=True))


def _block(block: Any) -> str:
    if isinstance(block, str):
        return block
    is_text = block.get("type", "text") in ("text", "output_text")
    return str(block.get("text") or "") if is_text else ""
