"""Which model serves which role, and how it is made. Providers are imported when first used.

AGENTSYS_MODEL is `PROVIDER:NAME`, with options after a question mark where the defaults will not
do: `openai:gpt-5-mini?temperature=0&max_tokens=4000&input_price=0.25&output_price=2`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings

from agentsys.gateway.errors import NoModelConfigured, ProviderMissing, translated
from agentsys.gateway.prices import UNKNOWN, price_of

# Nothing leaves this system unasked: a tracing switch left on in somebody's shell is no request.
for _name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"):
    os.environ[_name] = "false"


@dataclass(frozen=True, slots=True)
class Provider:
    """`options` says what the provider calls max_tokens, temperature and timeout_seconds."""

    module: str
    cls: str
    extra: str
    options: Mapping[str, str]
    fixed: Mapping[str, Any]
    free: bool = False  # it runs on a machine of one's own


_HOSTED = {"temperature": "temperature", "max_tokens": "max_tokens", "timeout_seconds": "timeout"}
_ONCE = {"max_retries": 0}  # trying again is for the orchestrator, which can wait for free
PROVIDERS = {
    "openai": Provider("langchain_openai", "ChatOpenAI", "openai", _HOSTED, _ONCE),
    "anthropic": Provider("langchain_anthropic", "ChatAnthropic", "anthropic", _HOSTED, _ONCE),
    "ollama": Provider(
        "langchain_ollama",
        "ChatOllama",
        "ollama",
        {"temperature": "temperature", "max_tokens": "num_predict"},
        {},
        free=True,
    ),
}
PRICES = ("input_price", "output_price")
OPTIONS = ("temperature", "max_tokens", "timeout_seconds", *PRICES)
FORM = (
    f"expected PROVIDER:NAME or PROVIDER:NAME?OPTION=NUMBER&… with PROVIDER one of"
    f" {', '.join(PROVIDERS)} and OPTION one of {', '.join(OPTIONS)}"
)


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """`provider:model` with its limits. Prices are US dollars per million tokens: as given, else
    as listed in `prices`.
    """

    provider: str
    model: str
    temperature: float | None = None
    max_tokens: int = 8_192  # of one answer; asked of the provider and reserved before the call
    timeout_seconds: float = 120.0
    input_price: float = UNKNOWN[0]
    output_price: float = UNKNOWN[1]

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"

    @property
    def free(self) -> bool:
        known = PROVIDERS.get(self.provider)
        return known is None or known.free

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        if self.free:
            return 0.0
        return (input_tokens * self.input_price + output_tokens * self.output_price) / 1e6


def profile_for(role: str) -> ModelProfile | None:  # noqa: ARG001 - one model serves all yet
    """The profile of a role, or None where no model is configured. Every role has the same one
    for now: AGENTSYS_MODEL. ProviderMissing says what is wrong with it."""
    text = settings.AGENTSYS.model
    return _parsed(text) if text else None


def profile_needed(role: str, model: str = "") -> ModelProfile:
    """The profile of a role, or that of `model` where it is named."""
    found = _parsed(model) if model else profile_for(role)
    if found is None:
        raise NoModelConfigured(role=role)
    return found


def _parsed(text: str) -> ModelProfile:
    name, _, query = text.partition("?")
    provider, _, model = name.partition(":")
    if not model or (provider not in PROVIDERS and provider != "scripted"):
        raise ProviderMissing(model=text, reason=FORM)
    given = parse_qsl(query, keep_blank_values=True)
    options: dict[str, Any] = dict(zip(PRICES, price_of(model), strict=True))
    options |= {key: _number(text, key, value) for key, value in given}
    return ModelProfile(provider, model, **options)


def _number(text: str, key: str, value: str) -> Any:
    if key not in OPTIONS:
        raise ProviderMissing(model=text, reason=f"`{key}` is no option; {FORM}")
    try:
        number = int(value) if key == "max_tokens" else float(value)
    except ValueError:
        raise ProviderMissing(model=text, reason=f"{key}={value} is not a number") from None
    least = 1 if key == "max_tokens" else 0
    if not least <= number < float("inf"):
        raise ProviderMissing(model=text, reason=f"{key}={value} is less than {least} or endless")
    return number


def chat_model(profile: ModelProfile) -> Any:
    """The langchain chat model of a profile; ProviderMissing says what to install or to set."""
    if profile.provider == "scripted":
        from agentsys.gateway.scripted import script

        return script(profile.model)
    provider = PROVIDERS[profile.provider]
    make = _class(provider, str(profile))
    options = {theirs: getattr(profile, ours) for ours, theirs in provider.options.items()}
    given = {key: value for key, value in options.items() if value is not None}
    if profile.provider == "ollama":
        given["client_kwargs"] = {"timeout": profile.timeout_seconds}
    try:
        return make(model=profile.model, **given, **provider.fixed)
    except Exception as error:  # the edge: a provider refuses to be made, for want of a key mostly
        raise translated(error, str(profile), otherwise=ProviderMissing) from error


def _class(provider: Provider, name: str) -> Callable[..., Any]:
    try:
        made: Callable[..., Any] = getattr(import_module(provider.module), provider.cls)
    except ModuleNotFoundError as error:
        reason = f"{provider.module} is not installed; pip install 'agentsys[{provider.extra}]'"
        raise ProviderMissing(model=name, reason=reason) from error
    return made
