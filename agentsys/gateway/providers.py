"""How the chat model of each provider is made. Its package is imported when it is first used.

A provider of your own is a function from a `ModelProfile` to a langchain chat model, registered
under the entry-point group `agentsys.providers`. Its name is what stands before the colon:

    [project.entry-points."agentsys.providers"]
    mine = "my_package:make"

    def make(profile):
        return MyChatModel(name=profile.model, limit=profile.max_tokens, timeout=…)

It must not try again by itself: trying again is for the orchestrator, which can wait for free.
What its exceptions mean is told by `status_code`, `code` or the name of their class.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from agentsys.gateway.errors import ProviderMissing, translated
from agentsys.kernel.plugins import leave_out

if TYPE_CHECKING:
    from agentsys.gateway.profiles import ModelProfile

GROUP = "agentsys.providers"
MODELS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Provider:
    """`options` says what the provider calls max_tokens, temperature, timeout_seconds and base_url;
    `key` is the variable with its key, `env` what else of the environment it reads."""

    module: str
    cls: str
    extra: str
    options: Mapping[str, str]
    fixed: Mapping[str, Any]
    key: str = ""
    env: tuple[str, ...] = ()
    free: bool = False  # it runs on a machine of one's own
    ends: bool = False  # every whole answer says why it ended


_HOSTED = {
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "timeout_seconds": "timeout",
    "base_url": "base_url",
}
_ONCE = {"max_retries": 0}
PROVIDERS = {
    "openai": Provider(
        "langchain_openai", "ChatOpenAI", "openai", _HOSTED, _ONCE,
        "OPENAI_API_KEY", ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ORG_ID"),
    ),
    "anthropic": Provider(
        "langchain_anthropic", "ChatAnthropic", "anthropic", _HOSTED, _ONCE,
        "ANTHROPIC_API_KEY", ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL"),
    ),
    "google": Provider(
        "langchain_google_genai", "ChatGoogleGenerativeAI", "google", _HOSTED,
        {"max_retries": 1},  # 0 stands for the SDK's own default there, which is several
        "GOOGLE_API_KEY", ("GEMINI_API_KEY",),
    ),
    "ollama": Provider(
        "langchain_ollama", "ChatOllama", "ollama",
        {"temperature": "temperature", "max_tokens": "num_predict", "base_url": "base_url"},
        {}, env=("OLLAMA_HOST",), free=True, ends=True,
    ),
}  # fmt: skip
SCRIPTED = "scripted"
LOCAL = "local"  # a model in this very process: `agentsys.gateway.local`


@cache
def plugins() -> Mapping[str, EntryPoint]:
    """Providers that other packages bring; a name of ours stays ours."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    for name in filter(is_ours, found):
        leave_out(GROUP, found[name], "its name is taken by a provider of ours")
    return {name: point for name, point in found.items() if not is_ours(name)}


def is_ours(name: str) -> bool:
    return name in PROVIDERS or name in (SCRIPTED, LOCAL)


def names() -> tuple[str, ...]:
    """Every provider that can stand before the colon."""
    return (*PROVIDERS, LOCAL, *plugins())


def is_known(name: str) -> bool:
    return is_ours(name) or name in plugins()


def is_free(name: str) -> bool:
    return name in (SCRIPTED, LOCAL) or (name in PROVIDERS and PROVIDERS[name].free)


def says_end(name: str) -> bool:
    return name in PROVIDERS and PROVIDERS[name].ends


def takes_schema(name: str) -> bool:
    """Whether its model holds an answer to a JSON Schema while it writes."""
    return name == LOCAL


def problem_of(profile: ModelProfile) -> str:
    """What keeps this process from using the model, as far as can be seen without asking it."""
    if profile.provider == LOCAL:
        from agentsys.gateway import local

        return local.problem_of(profile.model)
    provider = PROVIDERS.get(profile.provider)
    if provider is None:
        return ""
    if find_spec(provider.module) is None:
        return f"pip install 'agentsys[{provider.extra}]'"
    key = profile.key_env or (provider.key if not profile.base_url else "")
    return f"set {key}" if key and not os.environ.get(key) else ""


def chat_model(profile: ModelProfile) -> Any:
    """The langchain chat model of a profile; ProviderMissing says what to install or to set."""
    if profile.provider == SCRIPTED:
        from agentsys.gateway.scripted import script

        return script(profile.model)
    if profile.provider == LOCAL:
        from agentsys.gateway.local import local_model

        return local_model(profile)
    provider = PROVIDERS.get(profile.provider)
    if provider is None:
        return _plugged(profile)
    key = _key(profile, provider)
    return _made(
        profile, key, tuple(os.environ.get(name) for name in (provider.key, *provider.env))
    )


def _key(profile: ModelProfile, provider: Provider) -> str:
    """The key to give, or "" to let the provider find its own. A server at a URL of one's own
    often wants none, while the SDK insists on one."""
    if profile.key_env:
        key = os.environ.get(profile.key_env, "")
        if not key:
            raise ProviderMissing(model=str(profile), reason=f"{profile.key_env} is not set")
        return key
    nothing = profile.base_url and provider.key and not os.environ.get(provider.key)
    return "none" if nothing else ""


@lru_cache(MODELS_KEPT)
def _made(profile: ModelProfile, key: str, env: tuple[str | None, ...]) -> Any:  # noqa: ARG001
    """Kept, as each brings a pool of connections; `env` is what it was made under."""
    provider = PROVIDERS[profile.provider]
    make = _class(provider, str(profile))
    options = {theirs: getattr(profile, ours) for ours, theirs in provider.options.items()}
    given = {name: value for name, value in options.items() if value not in (None, "")}
    if key:
        given["api_key"] = key
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


def _plugged(profile: ModelProfile) -> Any:
    point = plugins()[profile.provider]
    try:
        return point.load()(profile)
    except Exception as error:  # the edge: code of somebody else
        raise translated(error, str(profile), otherwise=ProviderMissing) from error
