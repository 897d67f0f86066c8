"""Tools of others: from packages by entry point, and any langchain `BaseTool`.

An entry point in the group `agentsys.tools` is a `Tool`, a langchain `BaseTool`, or a function that
takes the brief and returns one or a list of them. What its installer does not say is taken for the
worst: a langchain tool cannot be undone, so each of its calls is shown to a person first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Any

from agentsys.gateway import foreign_tool, schema_problem
from agentsys.kernel.plugins import leave_out, taken_in
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


def installed_tools(brief: Brief, taken: Iterable[str] = ()) -> list[Tool]:
    """Those of all packages. What cannot be loaded, is none, or has a name of `taken` or of one
    before it is left out with a warning: it costs those tasks only that name it."""
    found: list[Tool] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            found += _loaded(point, brief, {*taken, *(tool.name for tool in found)})
        except (Exception, SystemExit) as error:  # the edge to a package's own code
            leave_out(GROUP, point, error)
        else:
            taken_in(GROUP, point)
    return found


def _loaded(point: Any, brief: Brief, taken: set[str]) -> list[Tool]:
    found = point.load()
    if callable(found) and not isinstance(found, Tool) and not hasattr(found, "invoke"):
        found = found(brief)
    tools = []
    for one in found if isinstance(found, list | tuple) else [found]:
        tool = one if isinstance(one, Tool) else from_langchain(one)
        if tool.name in taken:
            raise ValueError(f"another tool is called `{tool.name}`; rename it, or uninstall one")
        if problem := schema_problem(tool.parameters):
            raise ValueError(f"the schema of `{tool.name}` cannot be used: {problem}")
        taken.add(tool.name)
        tools.append(tool)
    return tools
