"""The schema verifier: the envelope always, declared schemas, and the path of each violation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verification.conftest import MakeCase
from verification.contracts import VerdictOutcome
from verification.verifiers.schema import SchemaVerifier

PASS, FAIL = VerdictOutcome.PASS, VerdictOutcome.FAIL
ROWS = {
    "type": "object",
    "required": ["rows"],
    "properties": {
        "rows": {"type": "array", "items": {"type": "object", "required": ["id"]}},
        "total": {"type": "integer", "minimum": 0},
    },
}
judge = SchemaVerifier().judge


def test_an_output_of_the_declared_form_passes(make_case: MakeCase) -> None:
    verdict = judge(make_case(output={"rows": [{"id": 1}]}, definition={"output_schema": ROWS}))
    assert verdict.outcome is PASS
    assert verdict.evidence == {"checked": ["envelope", "output_schema"]}


def test_every_violation_is_named_with_its_path(make_case: MakeCase) -> None:
    output = {"rows": [{"id": 1}, {"name": "b"}], "total": -1}
    verdict = judge(make_case(output=output, definition={"output_schema": ROWS}))
    assert verdict.outcome is FAIL
    assert verdict.reasons == (
        "output.rows[1]: 'id' is a required property",
        "output.total: -1 is less than the minimum of 0",
    )


def test_the_agents_schema_counts_beside_the_tasks(make_case: MakeCase) -> None:
    agent_schema = {"required": ["status"]}
    verdict = judge(
        make_case(
            output={"rows": []}, definition={"output_schema": ROWS}, agent_schema=agent_schema
        )
    )
    assert verdict.reasons == ("output: 'status' is a required property",)


def test_without_a_schema_only_the_envelope_is_checked_and_that_is_said(
    make_case: MakeCase,
) -> None:
    verdict = judge(make_case(output={"anything": [1]}))
    assert verdict.outcome is PASS
    assert verdict.evidence == {"checked": ["envelope"], "note": "no schema declared"}


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ({"output": [1]}, "output is a list; expected an object"),
        ({"output": None}, "output is null; expected an object"),
        ({"outcome": "failed"}, "outcome is 'failed'; only `done` can be accepted"),
        ({"output": {"x": "y" * 300_000}}, "of 256,000"),
    ],
)
def test_a_broken_envelope_fails(make_case: MakeCase, report: dict[str, Any], reason: str) -> None:
    verdict = judge(make_case(report=report))
    assert verdict.outcome is FAIL
    assert reason in verdict.reasons[0]


def test_the_tasks_own_limit_on_output_holds(make_case: MakeCase) -> None:
    definition = {"limits": {"output_bytes_max": 10}}
    assert judge(make_case(output={"text": "long"}, definition=definition)).outcome is FAIL


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "bogus"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#/$defs/absent"},
        {"properties": {"ok": {"$ref": "other.json"}}},
    ],
)
def test_a_schema_that_cannot_be_used_is_an_error_and_nothing_is_fetched(
    make_case: MakeCase, schema: dict[str, Any]
) -> None:
    verdict = judge(make_case(definition={"output_schema": schema}))
    assert verdict.outcome is VerdictOutcome.ERROR
    assert "cannot be used" in verdict.reasons[0]


def test_a_long_value_is_not_repeated_in_full(make_case: MakeCase) -> None:
    schema = {"properties": {"text": {"maxLength": 5}}}
    verdict = judge(make_case(output={"text": "x" * 5000}, definition={"output_schema": schema}))
    assert len(verdict.reasons[0]) < 400
