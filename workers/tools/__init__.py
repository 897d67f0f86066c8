"""Tools that a model agent may use: typed, with the risk of each stated, behind one gate."""

from workers.tools.base import Changed, Tool, ToolFailed
from workers.tools.box import Box, Told
from workers.tools.kit import Kit
from workers.tools.plugins import from_langchain
from workers.tools.reading import tools_for

__all__ = ["Box", "Changed", "Kit", "Told", "Tool", "ToolFailed", "from_langchain", "tools_for"]
