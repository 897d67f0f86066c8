"""Finding the JSON object in what a model said, and saying what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from agentsys.kernel.errors import BadInput
from agentsys.kernel.hashing import plain

ERRORS_SHOWN = 5
TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
# What some local models write before they answer; a chat template may have opened it for them.
_THOUGHT = re.compile(r"\A(?:\s*<think>.*?</think>|.*\n[ \t]*</think>[ \t]*\n)", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL)


def form(schema: Mapping[str, Any]) -> str:
    """How a model is asked for an object of this schema."""
    return (
        "Answer with one JSON object and nothing else. It must satisfy this JSON Schema:\n"
        + json.dumps(dict(schema), ensure_ascii=False)
    )


def fitting(text: str, schema: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The first object in `text` that satisfies `schema`; else None and why the first does not."""
    problem = ""
    for found in _objects(_THOUGHT.sub("", text)):
        if isinstance(found, str):
            problem = problem or found
            continue
        errors = violations(found, schema)
        if not errors:
            return found, ""
        problem = problem or "; ".join(errors)
    return None, problem or "there is no JSON object in the answer"


def violations(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with `value`, a sentence for each place; [] when it satisfies `schema`.

    BadInput when the schema refers to something outside of it. The registry is empty on purpose:
    without one, jsonschema fetches a `$ref`, from the network or from this machine's files.
    """
    validator = Draft202012Validator(dict(schema), registry=Registry())
    try:
        errors = sorted(validator.iter_errors(value), key=lambda e: [str(part) for part in e.path])
    except Unresolvable as error:
        raise _no_schema(f"{error}; define it under $defs") from error
    return [
        f"at {'.'.join(map(str, e.path)) or 'the top'}: {_short(e.message)}"
        for e in errors[:ERRORS_SHOWN]
    ]


def _short(message: str) -> str:
    """Both ends: a message begins with the value, however long, and ends with what is wrong."""
    return message if len(message) <= 300 else f"{message[:140]} … {message[-140:]}"


def check_schema(schema: Mapping[str, Any]) -> None:
    """BadInput when it is no JSON Schema, or can never be satisfied by an object."""
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        place = ".".join(map(str, error.path))
        hint = f"; types are {', '.join(TYPES)}" if "type" in list(error.path)[-2:] else ""
        said = " ".join(_short(error.message).split())
        raise _no_schema(f"{f'at {place}: ' if place else ''}{said}{hint}") from error
    kinds = schema.get("type", "object")
    if "object" not in ([kinds] if isinstance(kinds, str) else kinds):
        raise _no_schema(f"it asks for {kinds}; ask for an object that holds it")


def schema_problem(schema: Any) -> str:
    """What is wrong with a schema that code brings, in a line; "" for one that can be used."""
    if not isinstance(schema, Mapping):
        return f"it is {type(schema).__name__}, not an object"
    try:
        check_schema(schema)
        violations({}, schema)  # refers to nothing outside of itself
    except BadInput as error:
        return "; ".join(error.problems)
    except RecursionError:
        return "it refers to itself without end"
    return ""


def _no_schema(problem: str) -> BadInput:
    return BadInput(what="the JSON Schema of the output", problems=[problem])


def _objects(text: str) -> Iterator[dict[str, Any] | str]:
    """Objects in the order of trust: fenced ones, the first brace, braces that begin a line. Inner
    braces are left alone: a part of a broken object is not what was meant."""
    for part in [*_FENCED.findall(text), text]:
        starts = [part.find("{"), *(m.start() + 1 for m in re.finditer(r"\n\{", part))]
        for start in sorted({at for at in starts if at >= 0}):
            yield _object(part[start:])


def _object(text: str) -> dict[str, Any] | str:
    decoder = json.JSONDecoder()
    try:
        value, _ = decoder.raw_decode(text)
        return dict(plain(value))
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
