"""What is said of a field that was refused: what was given, what is expected, and an example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

SHOWN_CHARS_MAX = 60  # of what was given
_MISSING = object()


def refused_told(
    fields: Mapping[str, serializers.Field[Any, Any, Any, Any]],
    data: Mapping[str, Any],
    detail: Mapping[str, Any],
) -> dict[str, Any]:
    """DRF's `detail` of a request with `fields`, each sentence with the value of `data` it is about."""
    return {
        name: _told(fields[name], data.get(name, _MISSING), said) if name in fields else said
        for name, said in detail.items()
    }


def _told(field: Any, value: Any, said: Any) -> Any:
    if isinstance(said, Mapping):  # of a list's items, by their places
        child = getattr(field, "child", None)
        return {
            at: _told(child, value[at], one) if child and isinstance(value, list) else one
            for at, one in said.items()
        }
    given = "" if value is _MISSING else f"given {_shown(value)}, "
    return [f"{str(one).rstrip('.')}: {given}expected {expected(field)}" for one in said]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def expected(field: Any) -> str:
    """A phrase such as `a number from 0, such as 2.5`."""
    match field:
        case serializers.ChoiceField():
            return f"one of {', '.join(map(str, field.choices))}"
        case serializers.BooleanField():
            return "true or false"
        case serializers.IntegerField():
            return f"a whole number{_range(field)}, such as {_example(field, 5)}"
        case serializers.FloatField():
            return f"a number{_range(field)}, such as {_example(field, 2.5)}"
        case serializers.DateTimeField():
            return 'a moment, such as "2026-11-24T18:00:00Z"'
        case serializers.SlugField():
            return f'at most {field.max_length} letters, digits, - and _, such as "nightly-check"'
        case serializers.CharField():
            least = "a text" if field.allow_blank else "a text that is not empty,"
            return f"{least} of at most {field.max_length} characters"
        case serializers.ListField():
            return f"a list of 1 to {field.max_length}, each {expected(field.child)}"
        case serializers.DictField():
            return 'an object, such as {"name": "value"}'
        case _:
            return "JSON"


def _range(field: Any) -> str:
    least = "" if field.min_value is None else f" from {field.min_value}"
    return least if field.max_value is None else f"{least} to {field.max_value}"


def _example(field: Any, usual: float) -> float:
    return usual if field.max_value is None or usual <= field.max_value else field.max_value
