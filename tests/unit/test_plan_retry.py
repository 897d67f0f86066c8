"""A plan says how to go on after failures, or is told what is wrong with what it says."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.domain.plan_retry import rung_problems, swarm_problems

AGENTS = {"coder": object(), "model": object()}


def wrong(**retry: Any) -> list[str]:
    return rung_problems("task `a`", retry, AGENTS, "model")


def test_a_plan_may_name_every_rung() -> None:
    assert wrong(models=["a:1", "b:2"], fallback_agent="coder", on_exhausted="ask") == []
    assert wrong() == []


@pytest.mark.parametrize(
    ("retry", "said"),
    [
        ({"models": "a:1"}, "list of PROVIDER:NAME"),
        ({"models": ["gpt"]}, "list of PROVIDER:NAME"),
        ({"models": ["a:1", "a:1"]}, "must differ"),
        ({"models": [f"a:{n}" for n in range(6)]}, "at most 5"),
        ({"fallback_agent": "codr"}, "did you mean `coder`?"),
        ({"fallback_agent": "model"}, "own agent"),
        ({"on_exhausted": "hope"}, "expected fail, ask or replan"),
    ],
)
def test_what_is_wrong_is_said(retry: dict[str, Any], said: str) -> None:
    (problem,) = wrong(**retry)
    assert said in problem
    assert problem.startswith("task `a`: retry ")


@pytest.mark.parametrize(
    ("budget", "number"),
    [
        ({"tokens": 10, "cost_usd": 0.5, "calls": 3, "seconds": 1.5, "attempts": 9}, 0),
        ({"token": 10}, 1),
        ({"tokens": -1, "calls": 1.5, "attempts": True}, 3),
        ({}, 1),
        (5, 1),
    ],
)
def test_a_swarms_budget_is_checked(budget: Any, number: int) -> None:
    assert len(swarm_problems("task `a`: fan_out", budget)) == number
