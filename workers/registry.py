"""Which agents there are: the built-in ones, the entry points of group `agentsys.agents`, and the
profiles that people write in the console, whose names never shadow the others.

Classes are imported when first asked for. A plugin that cannot be loaded is left out, and never takes
the others with it: the log is told, and whoever asks for it, or asks the doctor.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

import structlog

from agentsys.kernel.plugins import leave_out, taken_in, why_left_out
from workers import profiles
from workers.agents.base import Agent
from workers.errors import AgentUnknown

log = structlog.get_logger(__name__)

GROUP = "agentsys.agents"
BUILT_IN = {
    name: f"workers.agents.{name}:{name.capitalize()}Agent"
    for name in (
        "noop",
        "collect",
        "command",
        "coder",
        "tester",
        "devops",
        "researcher",
        "retriever",
        "documenter",
        "model",
        "planner",
        "surveyor",
        "triage",
        "swarm",
    )
}

_loaded: dict[str, Agent | None] = {}  # None: cannot be loaded, and was said once
_lock = threading.Lock()


def agent(name: str) -> Agent:
    """The agent of this name; AgentUnknown suggests what may have been meant, AgentOff says who
    switched it off."""
    found = _loaded.get(name) or _find(name)
    if found is None and name not in names():
        found = profiles.profiled(name)
    if found is None:
        known = sorted({*names(), *profiles.profiles()})
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean `{close[0]}`?)" if close else ""
        hint += why_left_out(GROUP, name)
        raise AgentUnknown(name=name, hint=hint, known=", ".join(known))
    return found


def agents() -> dict[str, Agent]:
    """Every agent that loads, by name."""
    found = {name: one for name in sorted(names()) if (one := _find(name)) is not None}
    return found | profiles.profiles(taken=names())


def names() -> frozenset[str]:
    """The names of code, on offer without importing any agent or asking the database."""
    return _present() | set(_plugins())


@cache
def _present() -> frozenset[str]:
    return frozenset(name for name in BUILT_IN if find_spec(f"workers.agents.{name}") is not None)


def input_problems(agent: Agent, inputs: Mapping[str, Any]) -> list[str]:
    """What is wrong with resolved inputs, by the agent's schema; [] when nothing is."""
    if not agent.inputs_schema:
        return []
    errors = sorted(_validator(agent).iter_errors(dict(inputs)), key=lambda e: list(e.path))
    return [f"{'/'.join(map(str, error.path)) or 'inputs'}: {error.message}" for error in errors]


@lru_cache(maxsize=512)
def _validator(agent: Agent) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: without one, jsonschema would fetch a remote `$ref` over the network.
    return Draft202012Validator(agent.inputs_schema, registry=Registry())


@cache
def _plugins() -> dict[str, Any]:
    """Entry points by name. A built-in name is never overridden."""
    found: dict[str, Any] = {}
    for point in entry_points(group=GROUP):
        if point.name in BUILT_IN or point.name in found:
            whose = "a built-in agent" if point.name in BUILT_IN else "another plugin"
            leave_out(GROUP, point, f"its name is taken by {whose}")
            continue
        found[point.name] = point
    return found


def _find(name: str) -> Agent | None:
    with _lock:
        if name not in _loaded:
            _loaded[name] = _load(name)
        return _loaded[name]


def _load(name: str) -> Agent | None:
    if name in _plugins():
        return _plugged(name, _plugins()[name])
    if name not in _present():
        return None
    try:
        module, _, attribute = BUILT_IN[name].partition(":")
        return _checked(name, getattr(import_module(module), attribute))
    except Exception as error:
        log.warning("agent cannot be loaded and is left out", agent=name, error=repr(error))
        return None


def _plugged(name: str, point: Any) -> Agent | None:
    try:
        found = _with_schemas(_checked(name, point.load()))
    except (Exception, SystemExit) as error:  # the edge: other people's code, imported
        leave_out(GROUP, point, error)
        return None
    taken_in(GROUP, point)
    return found


def _with_schemas(found: Agent) -> Agent:
    from agentsys.gateway import schema_problem  # it needs jsonschema, which takes a while

    for field in ("inputs_schema", "output_schema"):
        if problem := schema_problem(getattr(found, field)):
            raise ValueError(f"its {field} cannot be used: {problem}")
    return found


def _checked(name: str, kind: Any) -> Agent:
    if not isinstance(kind, type):
        from workers.agents.wrapped import wrapped  # it knows the services, which know this module

        if (made := wrapped(name, kind)) is not None:
            return made
    if not (isinstance(kind, type) and issubclass(kind, Agent)):
        raise TypeError(
            f"{kind!r} is no agent; expected a subclass of workers.agents.base.Agent, a function of"
            " the brief, or a langchain Runnable"
        )
    missing = [field for field in ("name", "role", "description") if not hasattr(kind, field)]
    if missing:
        raise TypeError(f"{kind.__name__} lacks {', '.join(missing)}")
    if kind.name != name:
        raise ValueError(f"{kind.__name__}.name is `{kind.name}`, registered as `{name}`")
    return kind()
