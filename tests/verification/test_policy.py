"""Which verifiers are required, by default and as a plan asks; and what a plan may not ask."""

from __future__ import annotations

from typing import Any

import pytest

from verification import services
from verification.contracts import Kind, Policy
from verification.domain.policy import policy_for, policy_problems


@pytest.mark.parametrize(
    ("definition", "required"),
    [
        ({"agent": "coder"}, ("schema", "safety", "execution")),
        ({"agent": "researcher"}, ("schema", "safety", "grounding")),
        ({"agent": "documenter"}, ("schema", "safety")),
        ({"agent": "documenter", "inputs": {"corpus": "x"}}, ("schema", "safety", "grounding")),
        ({"agent": "model"}, ("schema", "safety", "semantic")),
        ({"agent": "command"}, ("schema", "safety")),
        ({}, ("schema", "safety")),
    ],
)
def test_the_agent_decides_where_the_plan_does_not(
    definition: dict[str, Any], required: tuple[str, ...]
) -> None:
    assert policy_for(definition) == Policy(required=required, quorum=len(required))


def test_cheap_verifiers_come_first_and_once() -> None:
    definition = {"verify": ["execution", "schema", "execution", "safety"]}
    assert policy_for(definition).required == ("schema", "safety", "execution")


def test_a_plan_may_set_quorum_and_voters() -> None:
    verify = {"required": ["schema", "consensus"], "quorum": 1, "voters": {"consensus": 5}}
    assert policy_for({"verify": verify}) == Policy(("schema", "consensus"), 1, {"consensus": 5})
    assert policy_for({"verify": ["consensus"]}).voters == {"consensus": 3}


def test_the_quorum_counts_kinds_not_heads() -> None:
    kinds = {"schema": Kind.SCHEMA, "mine": Kind.SEMANTIC, "yours": Kind.SEMANTIC}
    assert policy_for({"verify": ["schema", "mine", "yours"]}, kinds).quorum == 2


@pytest.mark.parametrize(
    ("verify", "problem"),
    [
        (["shema"], "no verifier `shema`; did you mean `schema`?"),
        (["xyzzy"], "there are consensus, consistency, execution, grounding"),
        ([], "expected a list with at least one"),
        ("schema", "expected a list with at least one"),
        ({"requires": ["schema"]}, "no field `requires`"),
        ({"required": ["schema"], "quorum": 2}, "only 1 verifiers are required"),
        ({"required": ["schema"], "quorum": 0}, "expected a number of kinds"),
        ({"required": ["schema"], "voters": {"consensus": 99}}, "expected 1 to 9"),
        ({"required": ["schema"], "voters": {"concensus": 3}}, "did you mean `consensus`?"),
        ({"required": ["schema"], "voters": 3}, "expected verifier names with numbers"),
    ],
)
def test_a_wrong_policy_is_named(verify: Any, problem: str) -> None:
    problems = policy_problems({"verify": verify})
    assert any(problem in text for text in problems), problems


@pytest.mark.parametrize(
    "verify", [None, ["schema"], {"required": ["schema", "safety"], "quorum": 1}, {"quorum": 1}]
)
def test_a_good_policy_has_no_problems(verify: Any) -> None:
    assert policy_problems({"verify": verify}) == []


def test_the_door_knows_every_verifier() -> None:
    assert set(services.verifier_names()) >= {
        "schema",
        "safety",
        "grounding",
        "execution",
        "semantic",
        "consensus",
    }
    assert services.policy_problems({"verify": ["schema"]}) == []
