"""Agents of a test beside the built-in ones, as the entry points that the registry looks at."""

from __future__ import annotations

from workers.agents.base import Agent


class Plugged:
    """As much of an entry point as the registry looks at."""

    def __init__(self, kind: type[Agent]) -> None:
        self.kind, self.name, self.value = kind, kind.name, kind.__name__

    def load(self) -> type[Agent]:
        return self.kind
