"""List prices of common hosted models, so that a budget is spent as fast as the bill grows.

Prices change: `?input_price=…&output_price=…` in AGENTSYS_MODEL says what holds for you, and wins.
"""

from __future__ import annotations

import re

Price = tuple[float, float]  # US dollars per million tokens: input, output

# What is assumed of a model that is not listed: more than most cost, to err on the safe side.
UNKNOWN: Price = (5.0, 25.0)

_LISTED: dict[str, Price] = {
    "gpt-4.1": (2.0, 8.0),
    "gpt-4.1-mini": (0.4, 1.6),
    "gpt-4.1-nano": (0.1, 0.4),
    "gpt-4o": (2.5, 10.0),
    "gpt-4o-mini": (0.15, 0.6),
    "gpt-5": (1.25, 10.0),
    "gpt-5-mini": (0.25, 2.0),
    "gpt-5-nano": (0.05, 0.4),
    "gpt-5-pro": (15.0, 120.0),
    "o1": (15.0, 60.0),
    "o1-pro": (150.0, 600.0),
    "o3": (2.0, 8.0),
    "o3-mini": (1.1, 4.4),
    "o3-pro": (20.0, 80.0),
    "o4-mini": (1.1, 4.4),
    "claude-3-5-haiku": (0.8, 4.0),
    "claude-3-7-sonnet": (3.0, 15.0),
    "claude-3-haiku": (0.25, 1.25),
    "claude-3-opus": (15.0, 75.0),
    "claude-haiku-4-5": (1.0, 5.0),
    "claude-opus-4": (15.0, 75.0),
    "claude-opus-4-1": (15.0, 75.0),
    "claude-opus-4-5": (5.0, 25.0),
    "claude-sonnet-4": (3.0, 15.0),
    "claude-sonnet-4-5": (3.0, 15.0),
}
_DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest|0)$")


def price_of(model: str) -> Price:
    """By the whole name, less a date: a newer model is not taken for the older one it is named
    after."""
    return _LISTED.get(_DATED.sub("", model), UNKNOWN)
