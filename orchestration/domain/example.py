"""An example of what a JSON Schema takes: to show a form, and to begin from. Pure.

It is for people: patterns, formats, conditions and `$ref` are not looked at, so whoever shows one judges
it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT = "…"
_CHOSEN = ("const", "default")
_OFFERED = ("examples", "enum")


def example(*schemas: Any) -> Any:
    """A value for all of `schemas` at once: what is required, or all that is named where nothing is."""
    return _value({"allOf": schemas})


def _value(schema: Any) -> Any:
    form = _flat(schema)
    for name in _CHOSEN:
        if name in form:
            return form[name]
    for name in _OFFERED:
        if form.get(name):
            return form[name][0]
    match _type(form):
        case "object":
            named = form.get("properties", {})
            return {name: _value(named.get(name, {})) for name in form.get("required") or named}
        case "array":
            return [_value(form["items"])] if "items" in form else []
        case "integer" | "number":
            return form.get("minimum", 0)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return TEXT


def _type(form: Mapping[str, Any]) -> Any:
    named = form.get("type", "object" if {"properties", "required"} & set(form) else "")
    return named[0] if isinstance(named, list) else named


def _flat(schema: Any) -> Mapping[str, Any]:
    """The schema with what it is made of: all of `allOf`, the first of `anyOf` and of `oneOf`."""
    if not isinstance(schema, Mapping):
        return {}
    parts = [*schema.get("allOf", ()), *schema.get("anyOf", ())[:1], *schema.get("oneOf", ())[:1]]
    form: Mapping[str, Any] = schema
    for part in map(_flat, parts):
        form = _both(form, part)
    return form


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {**other, **one}
    if "properties" in one and "properties" in other:
        mine, theirs = one["properties"], other["properties"]
        shared = {name: {"allOf": [mine[name], theirs[name]]} for name in mine if name in theirs}
        found["properties"] = {**theirs, **mine, **shared}
    if "required" in one and "required" in other:
        found["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return found
