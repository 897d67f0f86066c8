"""The gateway: one call, answers of a given form, and what goes wrong, in words of our own."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway.answers import fitting
from agentsys.gateway.calls import _text
from agentsys.gateway.errors import translated
from agentsys.gateway.loopback import Asked, Loopback, Raw
from agentsys.gateway.providers import chat_model
from agentsys.gateway.roles import profile_needed
from agentsys.gateway.scripted import Say, Script, script, scripted
from agentsys.kernel.errors import BadInput

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
ASK = [{"role": "user", "content": "how many?"}]


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


# --- What is paid -------------------------------------------------------------------------------


class Purse:
    """A meter that remembers; `limit` is what it allows to be reserved."""

    def __init__(self, limit: int = 10**9) -> None:
        self.limit = limit
        self.estimates: list[gateway.Estimate] = []
        self.spent: list[gateway.Spent] = []

    def reserve(self, estimate: gateway.Estimate) -> None:
        if estimate.tokens > self.limit:
            raise RuntimeError("too dear")
        self.estimates.append(estimate)

    def settle(self, estimate: gateway.Estimate, spent: gateway.Spent) -> None:
        self.spent.append(spent)


def test_a_call_is_reserved_before_and_settled_after_it(use: Any) -> None:
    speak(use, Say("hello", tokens=(11, 7)))
    purse = Purse()
    gateway.chat(ASK, role="planner", meter=purse)
    assert purse.estimates[0].input_tokens >= 4
    assert purse.estimates[0].output_tokens == 8192
    spent = purse.spent[0]
    assert (spent.role, spent.outcome, spent.input_tokens, spent.output_tokens) == (
        "planner", "ok", 11, 7,
    )  # fmt: skip


def test_what_is_refused_to_be_paid_is_not_asked(use: Any) -> None:
    lines = speak(use, "hello")
    with pytest.raises(RuntimeError, match="too dear"):
        gateway.chat(ASK, role="planner", meter=Purse(limit=5))
    assert lines.asked == []


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(ConnectionResetError("gone"), "provider-outage"), (ValueError("odd"), "bad-model-output")],
)
def test_a_call_that_fails_is_settled_too(use: Any, fault: Exception, outcome: str) -> None:
    speak(use, fault)
    purse = Purse()
    with pytest.raises(gateway.GatewayError):
        gateway.chat(ASK, role="planner", meter=purse)
    assert [s.outcome for s in purse.spent] == [outcome]


def test_every_repair_is_paid_for(use: Any) -> None:
    speak(use, "no", {"n": 1})
    purse = Purse()
    gateway.structured(ASK, SCHEMA, role="planner", meter=purse)
    assert len(purse.spent) == 2


def test_a_refusal_is_paid_for_and_told(use: Any) -> None:
    speak(use, Say("I will not", ended="refusal", tokens=(9, 3)))
    purse = Purse()
    with pytest.raises(gateway.Refused):
        gateway.chat(ASK, role="planner", meter=purse)
    assert (purse.spent[0].outcome, purse.spent[0].input_tokens) == ("model-refused", 9)


def test_prices_and_limits_come_with_the_name(use: Any) -> None:
    use("openai:m?temperature=0&max_tokens=50&timeout_seconds=9&input_price=2&output_price=4")
    profile = gateway.profile_for("planner")
    assert profile == gateway.ModelProfile("openai", "m", 0.0, 50, 9.0, 2.0, 4.0)
    assert profile.cost_usd(1_000_000, 500_000) == 4.0
    use("ollama:llama3.2")
    local = gateway.profile_for("planner")
    assert local is not None
    assert local.cost_usd(10**9, 10**9) == 0.0


@pytest.mark.parametrize(
    ("name", "prices"),
    [
        ("openai:gpt-5-mini", (0.25, 2.0)),
        ("openai:gpt-5-mini-2025-08-07", (0.25, 2.0)),
        ("openai:gpt-5-mini?output_price=9", (0.25, 9.0)),
        ("anthropic:claude-opus-4-1-20250805", (15.0, 75.0)),
        ("openai:gpt-5-colossal", (5.0, 25.0)),
    ],
)
def test_a_listed_model_has_its_price_and_no_other_is_taken_for_it(
    use: Any, name: str, prices: tuple[float, float]
) -> None:
    use(name)
    profile = profile_needed("planner")
    assert (profile.cost_usd(100_000, 0), profile.cost_usd(0, 100_000)) == pytest.approx(
        (prices[0] / 10, prices[1] / 10)
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai:m?colour=red", "`colour` is no option"),
        ("openai:m?max_tokens=many", "max_tokens=many is not a number"),
        ("openai:m?max_tokens=0", "less than 1"),
        ("openai:m?input_price=inf", "endless"),
    ],
)
def test_an_unusable_option_is_refused(use: Any, name: str, said: str) -> None:
    use(name)
    with pytest.raises(gateway.ProviderMissing, match=said):
        gateway.profile_for("planner")


# --- Answers of a given form ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 3}',
        'Thinking {of braces}.\n```json\n{"n": 3}\n```\nDone {really}.',
        'First I thought\n{"n": "three"}\nbut it is\n{"n": 3}',
        '{"n": 3} {"n": 4}',
        '<think>Is it {"n": 1}?</think>\n{"n": 3}',
        'It may be\n{"n": 1}\n</think>\n{"n": 3}',
    ],
)
def test_the_object_is_found_in_what_surrounds_it(text: str) -> None:
    assert fitting(text, SCHEMA)[0] == {"n": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "no JSON object"),
        ('{"a": {"n": 3}', "not JSON"),
        ('{"n": NaN}', "no JSON form"),
        ("{" * 100_000, "not JSON"),
        ('{"n": 1.5}', "at n: 1.5 is not of type 'integer'"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(text: str, said: str) -> None:
    value, problem = fitting(text, SCHEMA)
    assert value is None
    assert said in problem


SECRET = {"const": "in a file of this machine"}


def test_a_schema_fetches_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(SECRET))
    for at in (f"file://{tmp_path}/s.json", "http://127.0.0.1:1/s.json", "#/$defs/none"):
        with pytest.raises(BadInput, match="define it under") as caught:
            gateway.violations({"n": 1}, {"properties": {"n": {"$ref": at}}})
        assert SECRET["const"] not in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": "array"},
        {"type": "object", "properties": {"n": {"pattern": "("}}},
    ],
)
def test_a_schema_that_no_object_can_satisfy_is_refused_before_anything_is_asked(
    use: Any, schema: dict[str, Any]
) -> None:
    lines = speak(use, "never said")
    with pytest.raises(BadInput, match="JSON Schema of the output"):
        gateway.structured(ASK, schema, role="planner")
    assert lines.remaining == 1


def test_what_a_model_thought_is_no_part_of_its_answer() -> None:
    blocks = [
        {"type": "reasoning", "text": "perhaps 4"},
        {"type": "thinking", "thinking": "or 5"},
        {"type": "text", "text": "It is "},
        "3",
        {"type": "text", "text": None},
    ]
    assert _text(blocks) == "It is 3"


# --- The scripted model --------------------------------------------------------------------------


def test_a_script_asserts_that_it_was_used_up(use: Any) -> None:
    with speak(use, "one") as lines:
        gateway.chat(ASK, role="planner")
        with pytest.raises(AssertionError, match="used up"):
            gateway.chat(ASK, role="planner")
    assert lines.remaining == 0
    with pytest.raises(AssertionError, match="1 of 1 turns"), speak(use, "one"):
        pass


def test_a_scripted_model_is_a_langchain_model() -> None:
    from langchain_core.language_models import BaseChatModel

    scripted("chain", ["plain", Say(calls=(("answer", {"n": 3}),))])
    model = script("chain")
    assert isinstance(model, BaseChatModel)
    assert "".join(str(chunk.content) for chunk in model.stream("hello")) == "plain"
    form = {"title": "answer", "description": "a number", **SCHEMA}
    assert model.with_structured_output(form).invoke("how many?") == {"n": 3}


def test_calls_that_are_not_json_and_cut_off_answers_are_told(use: Any) -> None:
    speak(use, Say("", calls=(("look", '{"at": '),), ended="length"))
    said = gateway.chat(ASK, role="model", tools=[{"name": "look", "parameters": {}}])
    assert (said.tool_calls, said.malformed, said.cut_off) == ((), ("look",), True)


# --- Over HTTP -----------------------------------------------------------------------------------


class Fake:
    """The loopback server, with answers that a test gives once it runs."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []

    def turn(self, asked: Asked) -> Raw:
        self.asked.append(asked.body)
        status, headers, body = self.answers.pop(0)
        return Raw(json.dumps(body).encode(), status, tuple(headers.items()))


@pytest.fixture
def openai(use: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """At the URL that the SDK's own variable names."""
    pytest.importorskip("langchain_openai")
    fake = Fake()
    with Loopback(fake.turn) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        use("openai:test-model?max_tokens=77&temperature=0")
        yield fake


def completion(text: str) -> dict[str, Any]:
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "test-model",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }  # fmt: skip


def test_the_openai_provider_works_over_http(openai: Fake) -> None:
    openai.answers = [(200, {}, completion('{"n": 5}'))]
    assert gateway.structured(ASK, SCHEMA, role="planner") == {"n": 5}
    asked = openai.asked[0]
    assert (asked["model"], asked["temperature"]) == ("test-model", 0.0)
    assert 77 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))


def test_tools_go_over_http_and_their_results_come_back(openai: Fake) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    first = completion("")
    first["choices"][0]["message"]["tool_calls"] = [call]
    openai.answers = [(200, {}, first), (200, {}, completion("done"))]
    tools = [{"name": "look", "description": "d", "parameters": {"type": "object"}}]
    said = gateway.chat(ASK, role="model", tools=tools)
    assert said.tool_calls == (gateway.ToolCall("c1", "look", {"at": 1}),)
    talk = [
        *ASK,
        {"role": "assistant", "content": "", "tool_calls": [asdict(c) for c in said.tool_calls]},
        {"role": "tool", "tool_call_id": "c1", "content": "a tree"},
    ]
    assert gateway.chat(talk, role="model", tools=tools).text == "done"
    assert openai.asked[0]["tools"][0]["function"]["name"] == "look"
    assert openai.asked[1]["messages"][-1]["content"] == "a tree"
    assert openai.asked[1]["messages"][-2]["tool_calls"][0]["id"] == "c1"


def test_a_refused_key_is_not_repeated(openai: Fake) -> None:
    key = "sk-proj-" + "abcdefghijklmnop"
    openai.answers = [(401, {}, {"error": {"message": f"Incorrect API key provided: {key}"}})]
    with pytest.raises(gateway.ProviderMissing) as caught:
        gateway.chat(ASK, role="model")
    assert "Incorrect API key" in str(caught.value)
    assert "abcdef" not in str(caught.value)


def test_without_a_key_the_error_names_the_variable(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    use("openai:test-model")
    with pytest.raises(gateway.ProviderMissing, match="OPENAI_API_KEY"):
        gateway.chat(ASK, role="model")


def test_a_provider_that_is_not_there_is_an_outage(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_openai")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free.getsockname()[1]}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "x")
        use("openai:test-model")
        with pytest.raises(gateway.ProviderOutage):
            gateway.chat(ASK, role="model")


def test_a_provider_that_is_not_installed_names_its_extra(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "langchain_anthropic", None)
    use("anthropic:m")
    with pytest.raises(gateway.ProviderMissing, match=r"pip install 'agentsys\[anthropic\]'"):
        gateway.chat(ASK, role="model")


@pytest.mark.parametrize("provider", ["anthropic", "ollama"])
def test_the_other_providers_are_made_with_their_limits(
    use: Any, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    pytest.importorskip(f"langchain_{provider}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    made = chat_model(gateway.ModelProfile(provider, "m", temperature=0.5, max_tokens=9))
    assert made.temperature == 0.5
    assert 9 in (getattr(made, "max_tokens", None), getattr(made, "num_predict", None))


def test_a_rate_limit_says_how_long_to_wait(openai: Fake) -> None:
    openai.answers = [(429, {"retry-after": "7"}, {"error": {"message": "slow down"}})]
    with pytest.raises(gateway.RateLimited) as caught:
        gateway.chat(ASK, role="model")
    assert caught.value.context["retry_after_seconds"] == 7.0


def test_a_fault_of_the_provider_is_an_outage(openai: Fake) -> None:
    openai.answers = [(503, {}, {"error": {"message": "overloaded"}})]
    with pytest.raises(gateway.ProviderOutage):
        gateway.chat(ASK, role="model")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2.5", 2.5), ("1e12", 3600.0), ("-3", 0.0), ("soon", None), ("nan", None),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)  # fmt: skip
def test_how_long_to_wait_is_read_in_all_its_forms(header: str, seconds: float | None) -> None:
    error = type("Busy", (Exception,), {"status_code": 429})("busy")
    error.response = type("Answer", (), {"headers": {"retry-after": header}})()
    assert translated(error, "m").context["retry_after_seconds"] == seconds


def test_nothing_of_langchain_is_imported_before_a_model_is_asked() -> None:
    """And nothing is traced to anybody, whatever the shell says."""
    program = (
        "import django, os, sys; django.setup(); import agentsys.gateway, workers.loop\n"
        "assert not [m for m in sys.modules if m.startswith('langchain')]\n"
        "from langchain_core.tracers.langchain import LangChainTracer\n"
        "from langsmith.utils import tracing_is_enabled\n"
        "assert not tracing_is_enabled()\n"
    )
    env = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "agentsys.settings", "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
    }  # fmt: skip
    ended = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "it does not say how long"), (7.5, "wait 7.5 s")]
)
def test_a_rate_limit_says_how_long_or_that_nobody_knows(seconds: Any, said: str) -> None:
    error = gateway.RateLimited(model="m", reason="slow down", retry_after_seconds=seconds)
    assert str(error) == f"m is rate limited ({said}): slow down"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.context["retry_after_seconds"]) == (str(error), seconds)
