"""Tools that a model agent may use: typed, with the risk of each stated."""

from workers.tools.base import Tool, ToolFailed, gate
from workers.tools.reading import tools_for

__all__ = ["Tool", "ToolFailed", "gate", "tools_for"]
