"""The only door to langchain: chat models, embeddings, metering, rate limits.

langchain_core takes most of a second to import, so it is imported inside the functions that need
a model, never at start-up. What comes out of here are plain values of our own.
"""

from agentsys.gateway.answers import check_schema, schema_problem, violations
from agentsys.gateway.calls import Answer, ChatResult, ToolCall, answered, chat, structured
from agentsys.gateway.errors import (
    BadModelOutput,
    ContextTooLong,
    GatewayError,
    NoModelConfigured,
    NoRoom,
    ProviderMissing,
    ProviderOutage,
    RateLimited,
    Refused,
)
from agentsys.gateway.families import family_of
from agentsys.gateway.metering import Estimate, Meter, Spent
from agentsys.gateway.profiles import ModelProfile
from agentsys.gateway.roles import models_for, profile_for
from agentsys.gateway.room import Room
from agentsys.gateway.tools import ForeignTool, foreign_tool

__all__ = [
    "Answer",
    "BadModelOutput",
    "ChatResult",
    "ContextTooLong",
    "Estimate",
    "ForeignTool",
    "GatewayError",
    "Meter",
    "ModelProfile",
    "NoModelConfigured",
    "NoRoom",
    "ProviderMissing",
    "ProviderOutage",
    "RateLimited",
    "Refused",
    "Room",
    "Spent",
    "ToolCall",
    "answered",
    "chat",
    "check_schema",
    "family_of",
    "foreign_tool",
    "models_for",
    "profile_for",
    "schema_problem",
    "structured",
    "violations",
]
