"""Finding the JSON object in what a model said, and saying what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from agentsys.kernel.hashing import plain

ERRORS_SHOWN = 5
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
    for found in _objects(text):
        if isinstance(found, str):
            problem = problem or found
            continue
        errors = violations(found, schema)
        if not errors:
            return found, ""
        problem = problem or "; ".join(errors)
    return None, problem or "there is no JSON object in the answer"


def violations(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with `value`, a sentence for each place; [] when it satisfies `schema`."""
    found = jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)
    errors = sorted(found, key=lambda error: [str(part) for part in error.path])
    return [
        f"at {'.'.join(map(str, e.path)) or 'the top'}: {e.message[:300]}"
        for e in errors[:ERRORS_SHOWN]
    ]


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
