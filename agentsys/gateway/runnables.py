"""Other people's langchain: any Runnable asked once, and what it returned and used as plain values."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from agentsys.gateway.errors import BadModelOutput, translated
from agentsys.gateway.metering import Spent, Usage, tokens_of, usage_of
from agentsys.gateway.prices import Given, Used, cost_usd
from agentsys.gateway.redaction import redacted_value
from agentsys.kernel.hashing import plain


@dataclass(frozen=True, slots=True)
class Ran:
    """`output` is a text or an object. `spent` adds up every model call that was made inside."""

    output: str | Mapping[str, Any]
    spent: Spent


@dataclass(frozen=True, slots=True)
class Call:
    """One model call inside a Runnable."""

    model: str
    provider: str | None
    usage: Usage


def is_runnable(value: object) -> bool:
    """Whether it is a langchain Runnable, told without importing langchain."""
    return any(
        kind.__name__ == "Runnable" and kind.__module__.startswith("langchain_core.")
        for kind in type(value).__mro__
    )


def runnable_run(runnable: Any, *, name: str, asked: Mapping[str, Any], prompt: str) -> Ran:
    """Invoke it: a chat model with `prompt`, anything else with the object `asked`.

    Raises the errors of this package; BadModelOutput when it returns neither text nor an object.
    """
    from langchain_core.language_models import BaseChatModel

    counter, started = _counter_class()(), time.monotonic()
    given: Any = prompt if isinstance(runnable, BaseChatModel) else dict(asked)
    given = redacted_value(given)
    try:
        answer = runnable.invoke(given, config={"callbacks": [counter], "run_name": name})
    except Exception as error:  # the edge to other people's code and their providers
        raise translated(error, name) from error
    return Ran(_output(name, answer), _spent(name, counter.used, time.monotonic() - started))


def _output(name: str, answer: Any) -> str | Mapping[str, Any]:
    from langchain_core.messages import BaseMessage

    if isinstance(answer, BaseMessage):
        return str(plain(answer.text))
    if callable(dump := getattr(answer, "model_dump", None)):  # pydantic: structured output
        answer = dump(mode="json")
    if isinstance(answer, str | Mapping):
        found: str | Mapping[str, Any] = plain(answer)
        return found
    reason = f"it returned {type(answer).__name__}; expected text, a message or an object"
    raise BadModelOutput(model=name, reason=reason)


@cache
def _counter_class() -> Any:
    """Counts what the chat models inside use. langchain's own counter leaves out models that do not
    give their name; here a call without figures counts by the length of its answer.
    """
    from langchain_core.callbacks import BaseCallbackHandler

    class Counter(BaseCallbackHandler):
        def __init__(self) -> None:
            self.used: list[Call] = []  # appended to from any thread

        def on_llm_end(self, response: Any, **_: Any) -> None:
            for generation in (g for several in response.generations for g in several):
                message = getattr(generation, "message", None)
                facts = getattr(message, "response_metadata", None) or {}
                usage = usage_of(message, 0, tokens_of(generation.text))
                model, provider = facts.get("model_name") or "", facts.get("model_provider")
                self.used.append(Call(str(model), provider, usage))

    return Counter


def _spent(name: str, calls: Sequence[Call], seconds: float) -> Spent:
    used = [Used(c.usage.input, c.usage.output, c.usage.cached) for c in calls]
    costs = (cost_usd(c.provider, c.model, u, Given()) for c, u in zip(calls, used, strict=True))
    return Spent(
        role=name,
        model=", ".join(sorted({c.model for c in calls if c.model})) or name,
        outcome="ok",
        input_tokens=sum(u.input for u in used),
        output_tokens=sum(u.output for u in used),
        cost_usd=sum(costs),
        cached_tokens=sum(u.cached for u in used),
        reasoning_tokens=sum(c.usage.reasoning for c in calls),
        latency_ms=int(seconds * 1000),
    )
