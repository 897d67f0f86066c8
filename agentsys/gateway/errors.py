"""What can go wrong with a model, in words that do not depend on the provider.

`failure_kind` is how an attempt that ends with the error is classed (`workers.contracts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from agentsys.gateway.redaction import redacted
from agentsys.kernel.errors import AgentsysError
from agentsys.kernel.hashing import plain

RETRY_AFTER_SECONDS_MAX = 3600.0
PASSING = frozenset({408, 409, 425})  # statuses below 500 that trying again can mend
# Names of classes, of langchain, the SDKs and httpx: whoever is meant did not answer, or broke off.
AWAY = frozenset(
    {"APIConnectionError", "TransportError", "ModelConnectionError", "ModelAPIError"}
    | {"ResponseError"}  # Ollama's, without a status: the server's fault in the midst of an answer
)
UNUSABLE = frozenset(
    {"ModelAuthenticationError", "ModelPermissionDeniedError", "ModelNotFoundError"}
    | {"ModelInvalidRequestError"}
)
BROKEN_OFF = "No data received from"  # Ollama's, as a ValueError
CAUSES_MAX = 5  # of an exception: Google's package wraps the one that has status and headers
SHOWN_CHARS_MAX = 10_000  # of a provider's message, before anything else is done to it


class GatewayError(AgentsysError):
    """The base of all of these."""

    code = "gateway-error"
    failure_kind: ClassVar[str] = "transient"


class NoModelConfigured(GatewayError):
    """There is no model for this role."""

    code = "no-model"
    template = (
        "no model is configured for the role {role}; set AGENTSYS_MODEL=openai:NAME,"
        " anthropic:NAME or ollama:NAME and install agentsys[openai], [anthropic] or [ollama]"
    )
    failure_kind = "bad_input"


class ProviderMissing(GatewayError):
    """The provider's package is not installed, or there is no such provider."""

    code = "provider-missing"
    template = "the model {model} cannot be used: {reason}"
    failure_kind = "bad_input"


class ContextTooLong(ProviderMissing):
    """The prompt is longer than the model can read."""

    code = "context-too-long"
    template = "the model {model} cannot read so much: {reason}"


class RateLimited(GatewayError):
    """The provider wants us to wait; `context["retry_after_seconds"]` says how long, if it did."""

    code = "rate-limited"
    template = "{model} is rate limited ({wait}): {reason}"
    failure_kind = "rate_limit"

    def __init__(self, *, retry_after_seconds: float | None = None, **context: Any) -> None:
        told = retry_after_seconds
        wait = "it does not say how long" if told is None else f"wait {told:g} s"
        super().__init__(**{"wait": wait, **context, "retry_after_seconds": told})


class ProviderOutage(GatewayError):
    """The provider cannot be reached or answers with a fault of its own."""

    code = "provider-outage"
    template = "{model} cannot be reached: {reason}"
    failure_kind = "outage"


class Refused(GatewayError):
    """The model refuses. Not tried again: a person must look."""

    code = "model-refused"
    template = "{model} refuses: {reason}"
    failure_kind = "refused"


class NoRoom(GatewayError):
    """What the caller may still use is less than any answer takes. Nobody was asked."""

    code = "no-room"
    template = "{model} is not asked: {reason}"
    failure_kind = "budget"


class BadModelOutput(GatewayError):
    """The answer does not have the form that was asked for, after all repairs."""

    code = "bad-model-output"
    template = "{model} gave no usable answer: {reason}"
    failure_kind = "bad_output"


def translated(
    error: Exception, model: str, otherwise: type[GatewayError] = BadModelOutput
) -> GatewayError:
    """A provider's exception as one of ours, told by its HTTP status and its name; `otherwise`
    when neither tells.

    Providers' SDKs share no base class; nearly all carry `status_code` and a response with headers.
    """
    if isinstance(error, GatewayError):
        return error
    causes = list(_causes(error))
    status = next(filter(None, map(_status, causes)), None)
    names = {cls.__name__ for cls in type(error).__mro__}
    reason = _shown(error)
    if status == 429 or any("RateLimit" in name for name in names):
        return RateLimited(model=model, reason=reason, retry_after_seconds=_retry_after(causes))
    if status == 413 or any("ContextOverflow" in name for name in names):
        return ContextTooLong(model=model, reason=reason)
    if status is not None and (status in PASSING or status >= 500):
        return ProviderOutage(model=model, reason=reason)
    if (status is not None and status >= 400) or names & UNUSABLE:
        return ProviderMissing(model=model, reason=reason)
    if isinstance(error, OSError) or names & AWAY or any("Timeout" in n for n in names):
        return ProviderOutage(model=model, reason=reason)
    if BROKEN_OFF in reason:
        return ProviderOutage(model=model, reason=reason)
    return otherwise(model=model, reason=f"{type(error).__name__}: {reason}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from."""
    found: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if found is None:
            return
        yield found
        found = found.__cause__


def _status(error: BaseException) -> int | None:
    """The HTTP status; Google's SDK calls it `code`, which for others is a text."""
    found = (getattr(error, name, None) for name in ("status_code", "code"))
    return next((s for s in found if isinstance(s, int) and 100 <= s < 600), None)


def _shown(error: Exception) -> str:
    """What it says, without what looks like a key: providers repeat the one they refuse."""
    text = " ".join(str(plain(str(error))[:SHOWN_CHARS_MAX]).split()) or type(error).__name__
    return redacted(text)[:300]


def _retry_after(causes: Sequence[BaseException]) -> float | None:
    """Seconds to wait; at most an hour. None when the provider does not say."""
    for error in causes:
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
        seconds = _seconds(str(headers.get("retry-after") or _google_delay(error)))
        if seconds is not None:
            return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
    return None


def _seconds(text: str) -> float | None:
    """From a number or an HTTP date (RFC 9110, 10.2.3)."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):  # neither; a date without a zone cannot be compared
            return None
    return seconds if math.isfinite(seconds) else None


def _google_delay(error: BaseException) -> str:
    """Google says it in the body: `RetryInfo` with a `retryDelay` such as `7s`."""
    body = getattr(error, "details", None)
    told = body.get("error", {}) if isinstance(body, dict) else {}
    details = told.get("details") if isinstance(told, dict) else None
    for each in details if isinstance(details, list) else ():
        if isinstance(each, dict) and (delay := each.get("retryDelay")):
            return str(delay).removesuffix("s")
    return ""
