"""A model with its limits, and the name that stands for it.

A name is `PROVIDER:NAME`, with options after a question mark where the defaults will not do:
`openai:gpt-5-mini?temperature=0&max_tokens=4000&input_price=0.25&output_price=2`, or
`openai:qwen3?base_url=http://10.0.0.7:8000/v1` for any server that speaks OpenAI's protocol.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from agentsys.gateway import prices, providers
from agentsys.gateway.errors import ProviderMissing

# Nothing leaves this system unasked: a tracing switch left on in somebody's shell is no request.
for _name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"):
    os.environ[_name] = "false"

PRICES = ("input_price", "output_price", "cached_price")
LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")
WHOLE = ("max_tokens", *LIMITS)
TEXTS = ("base_url", "key_env")
OPTIONS = ("temperature", "max_tokens", "timeout_seconds", *TEXTS, *LIMITS, *PRICES)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,99}")


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """`provider:model` with its limits. Prices are US dollars per million tokens: as given, else
    as listed (`agentsys.gateway.prices`); `cached_price` is what cached input costs.

    The limits `requests_per_minute`, `tokens_per_minute` and `concurrency` hold for all processes
    together; None is no limit.
    """

    provider: str
    model: str
    temperature: float | None = None
    max_tokens: int = 8_192  # of one answer; asked of the provider and reserved before the call
    timeout_seconds: float = 120.0
    input_price: float | None = None
    output_price: float | None = None
    cached_price: float | None = None
    base_url: str = ""
    key_env: str = ""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"

    @property
    def free(self) -> bool:
        return providers.is_free(self.provider)

    @property
    def source(self) -> str:
        """Who answers: what limits and breakers are kept for."""
        host = urlsplit(self.base_url).netloc
        return f"{self.provider}@{host}" if host else self.provider

    def cost_usd(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        """Of one call. `cached_tokens` are a part of the input tokens."""
        if self.free:
            return 0.0
        used = prices.Used(input_tokens, output_tokens, min(cached_tokens, input_tokens))
        given = prices.Given(self.input_price, self.output_price, self.cached_price)
        return prices.cost_usd(self.provider, self.model, used, given)


def parsed(text: str) -> ModelProfile:
    """The profile that a name stands for; ProviderMissing says what is wrong with the name."""
    name, _, query = text.partition("?")
    provider, _, model = name.partition(":")
    if not model or not providers.is_known(provider):
        raise ProviderMissing(model=text, reason=form())
    given = parse_qsl(query, keep_blank_values=True)
    return ModelProfile(provider, model, **{key: option(text, key, said) for key, said in given})


def form() -> str:
    return (
        f"expected PROVIDER:NAME or PROVIDER:NAME?OPTION=VALUE&… with PROVIDER one of"
        f" {', '.join(providers.names())} and OPTION one of {', '.join(OPTIONS)}"
    )


def option(text: str, key: str, value: str) -> Any:
    """The value of one option of the name `text`."""
    if key not in OPTIONS:
        raise ProviderMissing(model=text, reason=f"`{key}` is no option; {form()}")
    if key in TEXTS:
        if problem := text_problem(key, value):
            raise ProviderMissing(model=text, reason=problem)
        return value
    try:
        number = int(value) if key in WHOLE else float(value)
    except ValueError:
        raise ProviderMissing(model=text, reason=f"{key}={value} is not a number") from None
    least = 1 if key in WHOLE else 0
    if not least <= number < float("inf"):
        raise ProviderMissing(model=text, reason=f"{key}={value} is less than {least} or endless")
    return number


def text_problem(key: str, value: str) -> str:
    """What is wrong with a base_url or a key_env; "" when nothing is."""
    if key == "key_env":
        if _VARIABLE.fullmatch(value):
            return ""
        return f"key_env={value} is not the name of an environment variable"
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        good = good and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good:
        return f"base_url={value} is not a URL such as https://HOST/v1, without a password in it"
    return ""


def facts_of(profile: ModelProfile) -> Mapping[str, Any]:
    """What was said of a profile beyond its defaults."""
    given = {field.name: getattr(profile, field.name) for field in fields(profile)}
    return {f.name: given[f.name] for f in fields(profile) if given[f.name] != f.default}
