"""An example of what a JSON Schema takes is taken by it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.domain.example import example
from verification.verifiers.schema import violations
from workers.registry import BUILT_IN, agent


@pytest.mark.parametrize("name", sorted({*BUILT_IN} - {"planner"}))  # its keys have a pattern
def test_an_example_of_each_agents_output_is_taken(name: str) -> None:
    schema = agent(name).output_schema
    assert violations(example(schema), schema) == []


ITEM = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": "…"}),
        ({"required": ["a"], "properties": {"a": {}, "b": {}}}, {"a": "…"}),
        ({"required": ["a"]}, {"a": "…"}),
        ({"type": "array", "items": ITEM}, [{"n": 3}]),
        ({"type": ["null", "boolean"]}, None),
        ({"enum": ["low", "high"]}, "low"),
        ({"const": 7}, 7),
        ({"default": 7, "type": "integer"}, 7),
        ({"oneOf": [ITEM, {"required": ["m"]}]}, {"n": 3}),
        ({"allOf": [ITEM, {"required": ["m"]}]}, {"n": 3, "m": "…"}),
        (True, "…"),
    ],
)
def test_what_is_required_stands_in_it_and_all_where_nothing_is(schema: Any, expected: Any) -> None:
    assert example(schema) == expected


def test_of_two_schemas_it_has_what_both_want() -> None:
    own = {"properties": {"echo": {"required": ["more"]}}}
    echo = {"type": "object", "properties": {"echo": {"type": "object"}}, "required": ["echo"]}
    assert example(echo, own) == {"echo": {"more": "…"}}
