"""The only door to langchain: chat models, embeddings, metering, rate limits.

langchain_core takes most of a second to import, so it is imported inside the functions that need
a model, never at start-up. What comes out of here are plain values of our own.
"""

from agentsys.gateway.calls import ChatResult, ToolCall, chat, structured
from agentsys.gateway.errors import (
    BadModelOutput,
    GatewayError,
    NoModelConfigured,
    ProviderOutage,
    RateLimited,
    Refused,
)
from agentsys.gateway.profiles import ModelProfile, profile_for

__all__ = [
    "BadModelOutput",
    "ChatResult",
    "GatewayError",
    "ModelProfile",
    "NoModelConfigured",
    "ProviderOutage",
    "RateLimited",
    "Refused",
    "ToolCall",
    "chat",
    "profile_for",
    "structured",
]
