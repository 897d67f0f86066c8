"""What the loopback server can say: answers, and faults of every kind, as bytes on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentsys.gateway.scripted import Say

CHUNK_CHARS = 24
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Raw:
    """Any status and bytes, `wait` seconds after the request came."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    wait: float = 0.0
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Cut:
    """An answer that breaks off after `after` bytes of its body: the connection is reset, or, with
    `reset=False`, closed as if all were said."""

    turn: str | Json | Say | Raw
    after: int
    reset: bool = True


Turn = str | Json | Say | Raw | Cut


def limited(retry_after: float | str | None = None) -> Raw:
    """429, with the Retry-After header unless that is None."""
    headers = () if retry_after is None else (("retry-after", str(retry_after)),)
    return fault(429, "slow down", headers)


def outage(status: int = 503) -> Raw:
    """A fault of the provider's own."""
    return fault(status, "the provider has a fault")


def silent(seconds: float = 3600.0) -> Raw:
    """No answer for so long, or until the server is closed."""
    return Raw(wait=seconds)


def fault(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Raw:
    error = {"error": {"message": message, "type": "loopback", "code": None}}
    return Raw(json.dumps(error).encode(), status, headers)


def rendered(turn: str | Json | Say | Raw, number: int, asked: Json) -> Raw:
    """The bytes of a turn, in the form that the request asked for."""
    if isinstance(turn, Raw):
        return turn
    if not isinstance(turn, Say):
        turn = Say(turn if isinstance(turn, str) else json.dumps(turn))
    if asked.get("stream"):
        events = b"".join(_event(event) for event in _chunks(turn, number, asked))
        return Raw(events + b"data: [DONE]\n\n", content_type="text/event-stream")
    return Raw(json.dumps(completion(turn, number, str(asked.get("model")))).encode())


def completion(say: Say, number: int = 1, model: str = "loopback") -> Json:
    """The body of a plain chat completion."""
    message: Json = {"role": "assistant", "content": say.text}
    if say.refusal:
        message |= {"content": None, "refusal": say.refusal}
    if say.calls:
        message["tool_calls"] = _calls(say, number)
    choice = {"index": 0, "message": message, "finish_reason": _ended(say), "logprobs": None}
    body = {**_head(number, model, "chat.completion"), "choices": [choice]}
    return body if say.tokens is None else {**body, "usage": _usage(say, say.tokens)}


def _chunks(say: Say, number: int, asked: Json) -> Iterator[Json]:
    head = _head(number, str(asked.get("model")), "chat.completion.chunk")

    def chunk(delta: Json, ended: str | None = None) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": ended}]}

    yield chunk({"role": "assistant", "content": ""})
    for start in range(0, len(say.text), CHUNK_CHARS):
        yield chunk({"content": say.text[start : start + CHUNK_CHARS]})
    if say.refusal:
        yield chunk({"refusal": say.refusal})
    for n, call in enumerate(_calls(say, number)):
        yield chunk({"tool_calls": [{"index": n, **call}]})
    yield chunk({}, _ended(say))
    if say.tokens is not None and (asked.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": _usage(say, say.tokens)}


def _event(body: Json) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _head(number: int, model: str, kind: str) -> Json:
    return {"id": f"loopback-{number}", "object": kind, "created": 1, "model": model}


def _ended(say: Say) -> str:
    return "tool_calls" if say.calls and say.ended == "stop" else say.ended


def _calls(say: Say, number: int) -> list[Json]:
    return [
        {
            "id": say.call_id(number, n),
            "type": "function",
            "function": {
                "name": name,
                "arguments": args if isinstance(args, str) else json.dumps(args),
            },
        }
        for n, (name, args) in enumerate(say.calls)
    ]


def _usage(say: Say, tokens: tuple[int, int]) -> Json:
    asked, said = tokens
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": say.cached},
        "completion_tokens_details": {"reasoning_tokens": say.reasoning},
    }
