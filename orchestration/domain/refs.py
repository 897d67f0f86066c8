"""References in plans: `${params.repo}`, `${item.name}`, `${tasks.survey.output.findings[0]}`.

A string that is one reference becomes the value it points at; references inside a longer string
are put in as text. `$${` stands for a literal `${`, and `${$}` for a dollar.

Some strings are resolved twice: first what is known when the plan is made, later the rest. Between
the two stands what people, agents and file names said, which must never be read as a reference:
a dollar that comes from a value is therefore written `${$}` until the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import canonical

_REFERENCE = re.compile(r"(?<!\$)\$\{([^{}]+)\}")
_INDEX = re.compile(r"\[(\d+)\]$")
DOLLAR = "$"  # the reference `${$}`: a dollar that is text
_DOLLAR = f"${{{DOLLAR}}}"


def references(value: Any) -> set[str]:
    """Every reference in a JSON value, without its `${` and `}`."""
    return set(_walk(value))


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (found.strip() for found in _REFERENCE.findall(value))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _walk(item)


def task_of(reference: str) -> str | None:
    """The task key that `tasks.KEY.output…` names; None for other references."""
    if not reference.startswith("tasks."):
        return None
    return re.split(r"\.output(?=[.\[]|$)", reference.removeprefix("tasks."), maxsplit=1)[0]


def resolve(value: Any, scope: Mapping[str, Any], *, partial: bool = False) -> Any:
    """`value` with its references replaced from `scope`.

    With `partial`, references whose first word is not in `scope` are left as they are, and the
    result must be resolved again or `settled`; without, and for a path that leads nowhere, BadInput
    names the reference.
    """
    if isinstance(value, str):
        return _partly(value, scope) if partial else _wholly(value, scope)
    if isinstance(value, Mapping):
        return {key: resolve(item, scope, partial=partial) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, scope, partial=partial) for item in value]
    return value


def settled(value: Any) -> Any:
    """The result of a partial `resolve` for a place where nothing is resolved any more."""
    if isinstance(value, str):
        return value.replace(_DOLLAR, DOLLAR)
    if isinstance(value, Mapping):
        return {key: settled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [settled(item) for item in value]
    return value


def _wholly(text: str, scope: Mapping[str, Any]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole:
        return lookup(whole[1].strip(), scope)
    pieces = _REFERENCE.split(text)  # literal, reference, literal, …
    pieces[0::2] = [literal.replace("$${", "${") for literal in pieces[0::2]]
    pieces[1::2] = [_as_text(lookup(name.strip(), scope)) for name in pieces[1::2]]
    return "".join(pieces)


def _partly(text: str, scope: Mapping[str, Any]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole:
        name = whole[1].strip()
        return inert(lookup(name, scope)) if _known(name, scope) else text
    return _REFERENCE.sub(lambda found: _put(found, scope), text)


def _put(found: re.Match[str], scope: Mapping[str, Any]) -> str:
    name = found[1].strip()
    if not _known(name, scope):
        return found[0]
    return _as_text(lookup(name, scope)).replace(DOLLAR, _DOLLAR)


def inert(value: Any) -> Any:
    """`value` for a place that is resolved later: what looks like a reference in it is text."""
    if isinstance(value, str):
        return value.replace(DOLLAR, _DOLLAR) if "${" in value else value
    if isinstance(value, Mapping):
        return {key: inert(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [inert(item) for item in value]
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def _known(name: str, scope: Mapping[str, Any]) -> bool:
    return re.split(r"[.\[]", name, maxsplit=1)[0] in scope


def lookup(name: str, scope: Mapping[str, Any]) -> Any:
    """Follow a dotted path with `[n]` indices; BadInput says where it ends."""
    if name == DOLLAR:
        return DOLLAR
    key = task_of(name)
    if key is not None:
        tasks = scope.get("tasks", {})
        if key not in tasks:
            raise _nowhere(name, f"there is no task `{key}`")
        rest = name.removeprefix(f"tasks.{key}").lstrip(".")
        return _follow(tasks[key], rest, name)
    return _follow(scope, name, name)


def _follow(value: Any, path: str, name: str) -> Any:
    for part in filter(None, path.split(".")):
        field, indices = _split(part)
        if field:
            if not isinstance(value, Mapping) or field not in value:
                known = ", ".join(sorted(value)[:8]) if isinstance(value, Mapping) else "no fields"
                raise _nowhere(name, f"there is no `{field}` (there is: {known})")
            value = value[field]
        for index in indices:
            if not isinstance(value, list | tuple) or index >= len(value):
                raise _nowhere(name, f"there is no [{index}]")
            value = value[index]
    return value


def _split(part: str) -> tuple[str, list[int]]:
    indices: list[int] = []
    while found := _INDEX.search(part):
        indices.insert(0, int(found[1]))
        part = part[: found.start()]
    return part, indices


def _nowhere(name: str, why: str) -> BadInput:
    return BadInput(what="reference", problems=[f"${{{name}}} leads nowhere: {why}"])
