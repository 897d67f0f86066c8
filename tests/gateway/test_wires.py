"""What other providers say on the wire, by their own clients against a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway.providers import PROVIDERS

TOOL = {
    "name": "look",
    "description": "Looks.",
    "parameters": {
        "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"],
    },
}  # fmt: skip
ASK = [
    {"role": "system", "content": "You look."},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"id": "c1", "name": "look", "args": {"at": "x"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "saw"},
]  # fmt: skip
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Wire:
    """Answers each request with the next of `turns`; keeps path, headers and body."""

    url: str
    turns: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def says(self, status: int, body: Any, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.turns.append((status, {"content-type": "application/json", **named}, raw))


@pytest.fixture
def wire() -> Iterator[Wire]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heads = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((self.path, heads, json.loads(body)))
            status, headers, raw = found.turns.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Wire(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
    assert not found.turns, "not all was asked for"


ANTHROPIC: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-on-loopback",
    "content": [{"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "hello"},
                {"type": "tool_use", "id": "tu_1", "name": "look", "input": {"at": "y"}}],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 7,
              "cache_creation_input_tokens": 3},
}  # fmt: skip
OLLAMA: dict[str, Any] = {
    "model": "llama3.2", "created_at": "2026-01-01T00:00:00Z", "done": True, "done_reason": "stop",
    "message": {"role": "assistant", "content": "hello", "tool_calls": [
        {"function": {"name": "look", "arguments": {"at": "y"}}}]},
    "prompt_eval_count": 20, "eval_count": 5, "total_duration": 1, "load_duration": 1,
    "prompt_eval_duration": 1, "eval_duration": 1,
}  # fmt: skip
GOOGLE: dict[str, Any] = {
    "candidates": [{"finishReason": "STOP", "index": 0, "content": {"role": "model", "parts": [
        {"text": "hello"}, {"functionCall": {"name": "look", "args": {"at": "y"}}}]}}],
    "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 30,
                      "cachedContentTokenCount": 7, "thoughtsTokenCount": 5},
    "modelVersion": "gemini-2.5-flash",
}  # fmt: skip


def anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def google_error(code: int, status: str, message: str, *details: Any) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": details}}


NAMES = {"anthropic": "claude-on-loopback", "ollama": "llama3.2", "google": "gemini-2.5-flash"}
WHOLE = {"anthropic": ANTHROPIC, "ollama": OLLAMA, "google": GOOGLE}


@pytest.fixture
def ask(wire: Wire, use: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask one provider, whose package must be installed."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "the key")
    monkeypatch.setenv("GOOGLE_API_KEY", "the key")

    def ask(provider: str) -> gateway.ChatResult:
        extra = PROVIDERS[provider]
        pytest.importorskip(extra.module, reason=f"the extra {extra.extra} is not installed")
        options = f"base_url={wire.url}&max_tokens=77&temperature=0&timeout_seconds=5"
        use(f"{provider}:{NAMES[provider]}?{options}", model_wait_seconds=0)
        return gateway.chat(ASK, role="model", tools=[TOOL])

    return ask


@pytest.mark.parametrize(("provider", "cached"), [("anthropic", 7), ("ollama", 0), ("google", 7)])
def test_an_answer_with_a_tool_call_and_usage(
    wire: Wire, ask: Any, provider: str, cached: int
) -> None:
    wire.says(200, WHOLE[provider])
    said = ask(provider)
    assert (said.text, said.measured, said.cut_off) == ("hello", True, False)
    assert [(call.name, dict(call.args)) for call in said.tool_calls] == [("look", {"at": "y"})]
    assert said.tool_calls[0].id
    assert (said.input_tokens, said.cached_tokens) == (20, cached)
    assert said.output_tokens == (10 if provider == "google" else 5)  # what it thought is output
    assert (said.cost_usd > 0) == (provider != "ollama")


def test_options_have_the_names_that_each_provider_knows(wire: Wire, ask: Any) -> None:
    for provider in WHOLE:
        wire.says(200, WHOLE[provider])
        ask(provider)
    (_, heads, anthropic), (_, _, ollama), (_, _, google) = wire.asked
    assert (anthropic["max_tokens"], anthropic["temperature"]) == (77, 0)
    sent = heads.get("x-api-key") or heads["authorization"].removeprefix("Bearer ")
    assert sent == "the key"
    assert anthropic["messages"][2]["content"][0]["tool_use_id"] == "c1"
    assert ollama["options"] == {"num_predict": 77, "temperature": 0}
    assert google["generationConfig"]["maxOutputTokens"] == 77


LIMITED = [
    ("anthropic", anthropic_error("rate_limit_error", "slow down"), {"retry_after": "7"}, 7),
    ("ollama", {"error": "too many requests"}, {"retry_after": "7"}, None),  # its client drops it
    ("google", google_error(429, "RESOURCE_EXHAUSTED", "quota"), {"retry_after": "7"}, 7),
    (
        "google",
        google_error(
            429, "RESOURCE_EXHAUSTED", "quota",
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9.5s"},
        ),
        {},
        9.5,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "body", "headers", "wait"), LIMITED)
def test_a_429_is_a_rate_limit_with_the_wait_that_it_asks_for(
    wire: Wire, ask: Any, provider: str, body: Any, headers: dict[str, str], wait: float | None
) -> None:
    wire.says(429, body, **headers)
    with pytest.raises(gateway.RateLimited) as caught:
        ask(provider)
    assert caught.value.context["retry_after_seconds"] == wait
    assert len(wire.asked) == 1  # the client tries once


AWAY = [
    ("anthropic", 529, anthropic_error("overloaded_error", "overloaded")),
    ("anthropic", 500, anthropic_error("api_error", "broken")),
    ("ollama", 503, {"error": "server busy, please try again"}),
    ("ollama", 200, {"error": "an error was encountered while running the model: CUDA error"}),
    ("ollama", 200, {**OLLAMA, "done": False, "done_reason": None}),
    ("ollama", 200, b""),
    ("google", 503, google_error(503, "UNAVAILABLE", "overloaded")),
]


@pytest.mark.parametrize(("provider", "status", "body"), AWAY)
def test_a_fault_of_the_provider_is_an_outage_and_is_asked_once(
    wire: Wire, ask: Any, provider: str, status: int, body: Any
) -> None:
    wire.says(status, body)
    with pytest.raises(gateway.ProviderOutage):
        ask(provider)
    assert len(wire.asked) == 1


UNUSABLE = [
    ("anthropic", 401, anthropic_error("authentication_error", "bad key")),
    ("ollama", 404, {"error": "model 'llama3.2' not found"}),
    ("ollama", 400, {"error": "llama3.2 does not support tools"}),
    ("google", 403, google_error(403, "PERMISSION_DENIED", "bad key")),
    ("google", 404, google_error(404, "NOT_FOUND", "no such model")),
]


@pytest.mark.parametrize(("provider", "status", "body"), UNUSABLE)
def test_a_key_or_model_that_is_wrong_is_a_matter_of_configuration(
    wire: Wire, ask: Any, provider: str, status: int, body: Any
) -> None:
    wire.says(status, body)
    with pytest.raises(gateway.ProviderMissing):
        ask(provider)


TOO_LONG = [
    ("anthropic", 400, anthropic_error("invalid_request_error",
                                       "prompt is too long: 300000 tokens > 200000 maximum")),
    ("anthropic", 413, anthropic_error("request_too_large", "Request exceeds the maximum size")),
    ("google", 400, google_error(400, "INVALID_ARGUMENT",
        "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).")),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "status", "body"), TOO_LONG)
def test_a_prompt_that_is_too_long_has_an_error_of_its_own(
    wire: Wire, ask: Any, provider: str, status: int, body: Any
) -> None:
    wire.says(status, body)
    with pytest.raises(gateway.ContextTooLong):
        ask(provider)


REFUSED = [
    ("anthropic", {**ANTHROPIC, "content": [], "stop_reason": "refusal"}),
    ("google", {**GOOGLE, "candidates": [{"finishReason": "SAFETY", "index": 0}]}),
    ("google", {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
]


@pytest.mark.parametrize(("provider", "body"), REFUSED)
def test_a_refusal_goes_to_a_person(wire: Wire, ask: Any, provider: str, body: Any) -> None:
    wire.says(200, body)
    with pytest.raises(gateway.Refused):
        ask(provider)


CUT = [
    ("anthropic", {**ANTHROPIC, "stop_reason": "max_tokens"}),
    ("ollama", {**OLLAMA, "done_reason": "length"}),
    (
        "google",
        {**GOOGLE, "candidates": [{**GOOGLE["candidates"][0], "finishReason": "MAX_TOKENS"}]},
    ),
]


@pytest.mark.parametrize(("provider", "body"), CUT)
def test_an_answer_that_ended_at_its_limit_says_so(
    wire: Wire, ask: Any, provider: str, body: Any
) -> None:
    wire.says(200, body)
    assert ask(provider).cut_off
