"""Which model serves which role, and how it is made. Providers are imported when first used."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings

from agentsys.gateway.errors import NoModelConfigured, ProviderMissing

os.environ.setdefault("LANGSMITH_TRACING", "false")  # nothing leaves this system unasked

# provider → (module, class, extra that brings it)
PROVIDERS = {
    "openai": ("langchain_openai", "ChatOpenAI", "openai"),
    "anthropic": ("langchain_anthropic", "ChatAnthropic", "anthropic"),
    "ollama": ("langchain_ollama", "ChatOllama", "ollama"),
}


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """`provider:model` with its limits; prices in US dollars per million tokens."""

    provider: str
    model: str
    temperature: float | None = None
    timeout_seconds: float = 120.0
    input_price: float = 5.0
    output_price: float = 25.0

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        if self.provider in ("ollama", "scripted"):
            return 0.0
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6


def profile_for(role: str) -> ModelProfile | None:  # noqa: ARG001 - one model serves all yet
    """The profile of a role, or None where no model is configured. Every role has the same one
    for now: AGENTSYS_MODEL."""
    text = settings.AGENTSYS.model
    if not text:
        return None
    provider, _, model = text.partition(":")
    if not model or (provider not in PROVIDERS and provider != "scripted"):
        reason = f"expected PROVIDER:NAME with PROVIDER one of {', '.join(PROVIDERS)}"
        raise ProviderMissing(model=text, reason=reason)
    return ModelProfile(provider=provider, model=model)


def profile_needed(role: str) -> ModelProfile:
    found = profile_for(role)
    if found is None:
        raise NoModelConfigured(role=role)
    return found


def chat_model(profile: ModelProfile) -> Any:
    """The langchain chat model of a profile; ProviderMissing says what to install."""
    if profile.provider == "scripted":
        from agentsys.gateway.scripted import script

        return script(profile.model)
    module, name, extra = PROVIDERS[profile.provider]
    try:
        make: Callable[..., Any] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ProviderMissing(
            model=str(profile), reason=f"{module} is not installed; install agentsys[{extra}]"
        ) from error
    options: dict[str, Any] = {"model": profile.model}
    if profile.temperature is not None:
        options["temperature"] = profile.temperature
    if profile.provider != "ollama":
        options |= {"timeout": profile.timeout_seconds, "max_retries": 0}
    return make(**options)
