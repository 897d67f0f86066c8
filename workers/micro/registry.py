"""Which micro-agents there are: the built-in ones, the entry points of group
`agentsys.micro_agents`, and what a program registers itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from agentsys.kernel.errors import NotFound
from agentsys.kernel.plugins import leave_out, taken_in
from workers.micro.base import FunctionMicroAgent, MicroAgent

GROUP = "agentsys.micro_agents"
BUILT_IN = {
    "ask": "workers.micro.ask:AskMicroAgent",
    "echo": "workers.micro.echo:EchoMicroAgent",
    "wait": "workers.micro.wait:WaitMicroAgent",
}
_registered: dict[str, MicroAgent] = {}


def micro_agent(name: str) -> MicroAgent:
    """NotFound for a name that no micro-agent has."""
    found = micro_agents().get(name)
    if found is None:
        raise NotFound(kind="micro-agent", id=name, listing="plans validate")
    return found


def micro_agents() -> Mapping[str, MicroAgent]:
    """Every micro-agent that loads, by name."""
    return {**_loaded(), **_registered}


def micro_register(name: str, kind: Any) -> MicroAgent:
    """A MicroAgent's class, or a function of an item's input, for this process."""
    if name in BUILT_IN:
        raise ValueError(f"`{name}` is a built-in micro-agent; choose another name")
    _registered[name] = _made(name, kind)
    return _registered[name]


def settings_problems(name: str, settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings whose references are resolved; [] when nothing is."""
    from jsonschema import Draft202012Validator

    schema = micro_agent(name).settings_schema
    if not schema:
        return []
    errors = Draft202012Validator(dict(schema)).iter_errors(dict(settings))
    return [f"{'.'.join(map(str, e.path)) or 'with'}: {e.message[:200]}" for e in errors][:3]


@cache
def _loaded() -> Mapping[str, MicroAgent]:
    found = {}
    for name, where in BUILT_IN.items():
        module, _, attribute = where.partition(":")
        found[name] = _made(name, getattr(import_module(module), attribute))
    for point in entry_points(group=GROUP):
        if point.name in found:
            leave_out(GROUP, point, "its name is taken")
            continue
        try:
            found[point.name] = _made(point.name, point.load())
            taken_in(GROUP, point)
        except (Exception, SystemExit) as error:  # the edge: other people's code, imported
            leave_out(GROUP, point, error)
    return found


def _made(name: str, kind: Any) -> MicroAgent:
    if isinstance(kind, type) and issubclass(kind, MicroAgent):
        if getattr(kind, "name", None) != name:
            raise ValueError(f"{kind.__name__}.name is not `{name}`, as it is registered")
        if kind.run is MicroAgent.run and kind.arun is MicroAgent.arun:
            raise TypeError(f"{kind.__name__} has neither `run` nor `arun`")
        return kind()
    if callable(kind) and not isinstance(kind, type):
        return FunctionMicroAgent(name, kind)
    raise TypeError(f"{kind!r} is neither a subclass of MicroAgent nor a function")
