"""Tools of others: from packages by entry point, and any langchain `BaseTool`.

An entry point in the group `agentsys.tools` is a `Tool`, a langchain `BaseTool`, or a function that
takes the brief and returns one or a list of them. What its installer does not say is taken for the
worst: a langchain tool cannot be undone, so each of its calls is shown to a person first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

from agentsys.gateway import foreign_tool
from agentsys.kernel.errors import BadInput
from workers.contracts import Brief, Risk
from workers.policy import Kind
from workers.tools.base import Tool

GROUP = "agentsys.tools"


def from_langchain(
    tool: Any,
    *,
    risk: Risk = Risk.IRREVERSIBLE,
    repeatable: bool = False,
    kinds: Mapping[str, Kind] | None = None,
    hosts: tuple[str, ...] | None = None,
) -> Tool:
    """A langchain tool behind the gate. `repeatable`: calling it twice does no more than once;
    what only reads is. BadInput when it is no `BaseTool`."""
    found = foreign_tool(tool)
    return Tool(
        found.name,
        found.description,
        found.parameters,
        found.call,
        risk,
        idempotent=repeatable or risk is Risk.READ,
        kinds=kinds or {},
        origin=f"the tool {found.name}",
        approvable=True,
        hosts=hosts,
    )


def installed_tools(brief: Brief) -> list[Tool]:
    """Those of all packages; BadInput when one cannot be loaded, or is none."""
    return [
        tool
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)
        for tool in _loaded(point, brief)
    ]


def _loaded(point: Any, brief: Brief) -> Iterator[Tool]:
    try:
        found = point.load()
        if callable(found) and not isinstance(found, Tool) and not hasattr(found, "invoke"):
            found = found(brief)
    except Exception as error:  # the edge to a package's own code
        problem = f"{point.value} cannot be loaded: {type(error).__name__}: {error}"[:300]
        raise BadInput(what=f"tool {point.name}", problems=[problem]) from error
    for one in found if isinstance(found, list | tuple) else [found]:
        yield one if isinstance(one, Tool) else from_langchain(one)
