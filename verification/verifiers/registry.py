"""Finds verifiers by name: the built-in ones, and those in the entry point group
`agentsys.verifiers`, which may add but not replace: a plugin cannot take the place of safety."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from agentsys.kernel.errors import NotFound
from agentsys.kernel.plugins import leave_out, taken_in
from verification.contracts import Kind
from verification.verifiers.base import Verifier

GROUP = "agentsys.verifiers"
BUILT_IN = {
    "schema": "verification.verifiers.schema:SchemaVerifier",
    "safety": "verification.verifiers.safety:SafetyVerifier",
    "grounding": "verification.verifiers.grounding:GroundingVerifier",
    "consistency": "verification.verifiers.consistency:ConsistencyVerifier",
    "execution": "verification.verifiers.execution:ExecutionVerifier",
    "semantic": "verification.verifiers.semantic:SemanticVerifier",
    "consensus": "verification.verifiers.consensus:ConsensusVerifier",
}


@cache
def names() -> tuple[str, ...]:
    return tuple(sorted(BUILT_IN | _plugins().keys()))


@cache
def kinds() -> dict[str, Kind]:
    """Every verifier's kind. Loads plugins, not the built-in ones, whose kinds are their names."""
    return {name: Kind(name) for name in BUILT_IN} | {
        name: Kind(verifier(name).kind) for name in _plugins()
    }


@cache
def verifier(name: str) -> Verifier:
    """NotFound for a name that is in no registry."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found: type[Verifier] = getattr(import_module(module), attribute)
        return found()
    plugins = _plugins()
    if name not in plugins:
        raise NotFound(kind="verifier", id=name, listing="agentsys doctor")
    return plugins[name]


@cache
def _plugins() -> dict[str, Verifier]:
    """A plugin that cannot be loaded is left out with a warning; a policy that names it then says
    that there is no such verifier, before anything runs."""
    loaded = {}
    for point in entry_points(group=GROUP):
        if point.name in BUILT_IN:
            leave_out(GROUP, point, "its name is taken by a built-in verifier")
        elif (instance := _load(point)) is not None:
            loaded[point.name] = instance
    return loaded


def _load(point: EntryPoint) -> Verifier | None:
    try:
        found = _checked(point.name, point.load())
    except (Exception, SystemExit) as error:  # the edge: other people's code, imported
        leave_out(GROUP, point, error)
        return None
    taken_in(GROUP, point)
    return found


def _checked(name: str, kind: Any) -> Verifier:
    """Without a name and a kind of its own nobody could say what it said."""
    instance = kind()
    if not isinstance(instance, Verifier):
        raise TypeError(f"{kind!r} is no subclass of verification.verifiers.base.Verifier")
    shown = type(instance).__name__
    if missing := [field for field in ("name", "kind") if not hasattr(instance, field)]:
        raise TypeError(f"{shown} lacks {', '.join(missing)}")
    if instance.name != name:
        raise ValueError(f"{shown}.name is `{instance.name}`, registered as `{name}`")
    if instance.kind not in list(Kind):
        raise ValueError(f"{shown}.kind is `{instance.kind}`; expected one of {', '.join(Kind)}")
    return instance
