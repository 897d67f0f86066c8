"""What can go wrong with a model, in words that do not depend on the provider.

`failure_kind` is how an attempt that ends with the error is classed (`workers.contracts`).
"""

from __future__ import annotations

from typing import ClassVar

from agentsys.kernel.errors import AgentsysError


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


class RateLimited(GatewayError):
    """The provider wants us to wait; `context["retry_after_seconds"]` says how long, if it did."""

    code = "rate-limited"
    template = "{model} is rate limited (wait {retry_after_seconds} s): {reason}"
    failure_kind = "rate_limit"


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


class BadModelOutput(GatewayError):
    """The answer does not have the form that was asked for, after all repairs."""

    code = "bad-model-output"
    template = "{model} gave no usable answer: {reason}"
    failure_kind = "bad_output"


def translated(error: Exception, model: str) -> GatewayError:
    """A provider's exception as one of ours, told by its HTTP status and its name.

    Providers' SDKs share no base class; nearly all carry `status_code` and a response with headers.
    """
    if isinstance(error, GatewayError):
        return error
    status = getattr(error, "status_code", None)
    name = type(error).__name__
    reason = " ".join(str(error).split())[:300] or name
    if status == 429 or "RateLimit" in name:
        return RateLimited(model=model, reason=reason, retry_after_seconds=_retry_after(error))
    if status in (400, 401, 403, 404, 422):
        return ProviderMissing(model=model, reason=reason)
    if (isinstance(status, int) and status >= 500) or _is_connection(error, name):
        return ProviderOutage(model=model, reason=reason)
    return BadModelOutput(model=model, reason=f"{name}: {reason}")


def _is_connection(error: Exception, name: str) -> bool:
    return isinstance(error, OSError) or "Connection" in name or "Timeout" in name


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return float(headers["retry-after"])
    except (KeyError, TypeError, ValueError):
        return None
