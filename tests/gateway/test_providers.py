"""Providers: any URL that speaks OpenAI's protocol, keys by name, and providers of one's own."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from agentsys import gateway
from agentsys.gateway import providers
from agentsys.gateway.loopback import Loopback
from agentsys.gateway.providers import chat_model, problem_of
from agentsys.gateway.roles import chain_needed

ASK = [{"role": "user", "content": "how many?"}]


def test_any_url_that_speaks_the_protocol_is_a_provider(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Loopback(["hello"]) as server:
        use(server.model_name("max_tokens=50"))
        assert gateway.chat(ASK, role="model").text == "hello"
    assert server.asked[0].body["model"] == "loopback"


def test_the_key_comes_from_the_variable_that_the_profile_names(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langchain_openai")
    monkeypatch.setenv("OPENAI_API_KEY", "not this one")
    monkeypatch.setenv("HOUSE_KEY", "the-key-of-the-house")
    with Loopback(["hello"]) as server:
        use(server.model_name("key_env=HOUSE_KEY"))
        gateway.chat(ASK, role="model")
        assert server.asked[0].headers["authorization"] == "Bearer the-key-of-the-house"
        monkeypatch.delenv("HOUSE_KEY")
        with pytest.raises(gateway.ProviderMissing, match="HOUSE_KEY is not set"):
            gateway.chat(ASK, role="model")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("openai:m?base_url=ftp://host/v1", "is not a URL such as"),
        ("openai:m?base_url=http://user:pass@host/v1", "without a password"),
        ("openai:m?base_url=http://[broken", "is not a URL"),
        ("openai:m?base_url=nonsense", "is not a URL"),
        ("openai:m?key_env=lower", "is not the name of an environment variable"),
        ("openai:m?concurrency=0", "less than 1"),
    ],
)
def test_a_place_that_cannot_be_meant_is_refused(use: Any, name: str, said: str) -> None:
    use(name)
    with pytest.raises(gateway.ProviderMissing, match=said):
        gateway.profile_for("planner")


def test_a_plan_does_not_choose_where_prompts_and_keys_are_sent(use: Any) -> None:
    """What a plan names is data of lower trust than what an administrator set."""
    use("openai:m?base_url=http://127.0.0.1:1/v1")
    for place in ("base_url=http://evil.example/v1", "key_env=DATABASE_URL"):
        with pytest.raises(gateway.ProviderMissing, match="for administrators"):
            chain_needed("model", f"openai:other?{place}")
    same = chain_needed("model", "openai:other?base_url=http://127.0.0.1:1/v1")
    assert [profile.model for profile in same] == ["other"]
    assert chain_needed("model", "openai:other")[0].base_url == ""


def test_google_is_made_with_its_limits_and_tries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langchain_google_genai")
    monkeypatch.setenv("GOOGLE_API_KEY", "x")
    made = chat_model(gateway.ModelProfile("google", "gemini-2.5-flash", max_tokens=9))
    assert (made.max_output_tokens, made.max_retries, made.timeout) == (9, 1, 120.0)


def test_what_keeps_a_model_from_being_used_is_seen_without_asking_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert problem_of(gateway.ModelProfile("openai", "m")) == "set OPENAI_API_KEY"
    assert problem_of(gateway.ModelProfile("openai", "m", base_url="http://host/v1")) == ""
    assert problem_of(gateway.ModelProfile("ollama", "m")) == ""


# --- A provider of one's own ---------------------------------------------------------------------


def make(profile: gateway.ModelProfile) -> Any:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    class Echo(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "echo"

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            said = f"{profile.model}: {messages[-1].content}"
            return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])

    return Echo()


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install `module:make` as the provider `echo`, as another package's entry point would."""

    def plugin(made: Any) -> None:
        module = types.ModuleType("their_package")
        module.make = made  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "their_package", module)
        point = EntryPoint("echo", "their_package:make", providers.GROUP)
        monkeypatch.setattr(providers, "entry_points", lambda group: [point])
        providers.plugins.cache_clear()

    yield plugin
    providers.plugins.cache_clear()


def test_a_provider_of_ones_own_is_an_entry_point(plugin: Any, use: Any) -> None:
    plugin(make)
    use("echo:parrot?input_price=1&output_price=2")
    said = gateway.chat(ASK, role="model")
    assert (said.text, said.model, said.measured) == ("parrot: how many?", "echo:parrot", False)
    assert said.cost_usd > 0


def test_a_provider_of_ones_own_that_breaks_is_a_typed_failure(plugin: Any, use: Any) -> None:
    def broken(profile: Any) -> Any:
        raise KeyError("their mistake")

    plugin(broken)
    use("echo:parrot")
    with pytest.raises(gateway.ProviderMissing, match="their mistake"):
        gateway.chat(ASK, role="model")
