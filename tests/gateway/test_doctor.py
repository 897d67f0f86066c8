"""What `doctor` says of models and breakers, and the arithmetic of the proof of the limit."""

from __future__ import annotations

from typing import Any

import pytest

from agentsys.doctor import Check, examine
from agentsys.gateway import breakers
from agentsys.gateway.models import Profile
from agentsys.gateway.ratecheck import peak
from agentsys.gateway.roles import forget


def found(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


def test_a_model_that_cannot_be_used_is_named_with_what_it_lacks(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use("openai:gpt-5-mini")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert found("models").found == "* openai:gpt-5-mini"
    assert found("models").fix == "openai:gpt-5-mini: set OPENAI_API_KEY"
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert found("models").fix == ""
    use("nonsense")
    assert "expected PROVIDER:NAME" in found("models").fix


@pytest.mark.django_db
def test_a_role_in_which_nobody_asks_is_advice(use: Any) -> None:
    use("")
    Profile.objects.create(role="plannr", model="ollama:m")
    forget()
    seen = found("model roles")
    assert (seen.found, seen.advice) == ("plannr", True)
    assert "did you mean `planner`?" in seen.fix


def test_an_open_breaker_is_shown_as_advice(use: Any) -> None:
    use("", breaker_outages=1)
    breakers.failed("openai")
    seen = found("breakers")
    assert seen.advice
    assert "openai open: 1 outages" in seen.found


def test_the_most_in_any_stretch_is_counted() -> None:
    assert peak([], 10) == 0
    assert peak([0, 1, 2, 10, 10.5], 10) == 4
    assert peak([0, 10, 20], 10) == 1
