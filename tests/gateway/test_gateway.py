"""The gateway: one call, answers of a given form, and what goes wrong, in words of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway.scripted import Say, Script, scripted

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
ASK = [{"role": "user", "content": "how many?"}]


@pytest.fixture
def use(settings: Any) -> Any:
    def use(model: str) -> None:
        settings.AGENTSYS = replace(settings.AGENTSYS, model=model)

    return use


def speak(use: Any, *turns: Any) -> Script:
    use("scripted:test")
    return scripted("test", turns)


def test_without_a_model_the_error_says_how_to_get_one(use: Any) -> None:
    use("")
    assert gateway.profile_for("planner") is None
    with pytest.raises(gateway.NoModelConfigured, match="set AGENTSYS_MODEL=openai"):
        gateway.chat(ASK, role="planner")


@pytest.mark.parametrize("name", ["nonsense", "martian:x", "openai:"])
def test_an_unusable_name_is_refused_with_what_would_do(use: Any, name: str) -> None:
    use(name)
    with pytest.raises(gateway.GatewayError, match="expected PROVIDER:NAME"):
        gateway.profile_for("planner")


def test_a_call_gives_text_tools_and_usage(use: Any) -> None:
    lines = speak(use, Say("hello", calls=(("look", {"at": "x"}),), tokens=(11, 7)))
    said = gateway.chat(ASK, role="model", tools=[{"name": "look", "parameters": {}}])
    assert (said.text, said.input_tokens, said.output_tokens, said.measured) == (
        "hello",
        11,
        7,
        True,
    )
    assert said.tool_calls[0].name == "look"
    assert said.tool_calls[0].args == {"at": "x"}
    assert lines.remaining == 0


def test_missing_usage_is_an_upper_bound_not_nothing(use: Any) -> None:
    speak(use, Say("x" * 300, tokens=None))
    said = gateway.chat(ASK, role="model")
    assert not said.measured
    assert said.output_tokens >= 100


def test_a_wrong_answer_is_mended_at_most_twice(use: Any) -> None:
    lines = speak(use, "no json", {"n": "three"}, 'Sure: {"n": 3}')
    assert gateway.structured(ASK, SCHEMA, role="planner") == {"n": 3}
    assert lines.remaining == 0
    assert "not of type 'integer'" in lines.asked[2][-1].content
    speak(use, "a", "b", "c", {"n": 3})
    with pytest.raises(gateway.BadModelOutput, match="no JSON object"):
        gateway.structured(ASK, SCHEMA, role="planner")


def test_nul_bytes_of_a_model_go_no_further(use: Any) -> None:
    speak(use, '{"n": 1, "t": "a\\u0000b"}')
    assert gateway.structured(ASK, SCHEMA, role="planner") == {"n": 1, "t": "ab"}


class Fake(BaseHTTPRequestHandler):
    """A loopback server that speaks the chat completions protocol."""

    answers: list[tuple[int, dict[str, str], dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, headers, body = self.answers.pop(0)
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "content-type": "application/json"}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def openai(use: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Fake]]:
    pytest.importorskip("langchain_openai")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    use("openai:test-model")
    yield Fake
    server.shutdown()
    thread.join()
    server.server_close()


def completion(text: str) -> dict[str, Any]:
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "test-model",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }  # fmt: skip


def test_the_openai_provider_works_over_http(openai: type[Fake]) -> None:
    openai.answers = [(200, {}, completion('{"n": 5}'))]
    assert gateway.structured(ASK, SCHEMA, role="planner") == {"n": 5}


def test_a_rate_limit_says_how_long_to_wait(openai: type[Fake]) -> None:
    openai.answers = [(429, {"retry-after": "7"}, {"error": {"message": "slow down"}})]
    with pytest.raises(gateway.RateLimited) as caught:
        gateway.chat(ASK, role="model")
    assert caught.value.context["retry_after_seconds"] == 7.0


def test_a_fault_of_the_provider_is_an_outage(openai: type[Fake]) -> None:
    openai.answers = [(503, {}, {"error": {"message": "overloaded"}})]
    with pytest.raises(gateway.ProviderOutage):
        gateway.chat(ASK, role="model")
