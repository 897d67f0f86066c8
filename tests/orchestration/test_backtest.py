"""A backtest says what another policy would have decided, from what was spoken, and writes nothing."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from agentsys.kernel.errors import BadInput, NoSuchName
from orchestration.models import Attempt, Goal
from orchestration.services.backtest import policy_backtest
from tests.orchestration.pump import node, pump, row_counts, submit
from verification import services as verification

pytestmark = pytest.mark.django_db(transaction=True)

NEEDS_MORE = {"output_schema": {"type": "object", "required": ["more"]}}
LOOK = {"rules": [{"kind": "report", "person": True}]}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


@pytest.fixture
def past() -> Goal:
    """Two attempts that were accepted, and two at one task that were rejected."""
    twice = {"retry": {"attempts_max": 2}, "optional": True, **NEEDS_MORE}
    return pump(submit(node("a"), node("b"), node("odd", **twice)))


def test_what_is_in_force_decides_as_it_did(past: Goal) -> None:
    found = policy_backtest({"rules": []})
    assert found.counts == {("accept", "accept"): 2, ("reject", "reject"): 2}
    assert (found.attempts, found.changed) == (4, ())


def test_what_would_be_decided_otherwise_is_named_with_its_rule(past: Goal) -> None:
    found = policy_backtest(LOOK)
    assert found.counts == {("accept", "person"): 2, ("reject", "reject"): 2}
    assert {(c.task, c.was, c.would, c.rule) for c in found.changed} == {
        ("a", "accept", "person", "look"),
        ("b", "accept", "person", "look"),
    }
    rounds = policy_backtest({"rules": [{"rounds_max": 2}]})
    assert [(c.task, c.would, c.rule) for c in rounds.changed] == [("odd", "person", "rounds")]


def test_a_verifier_that_nobody_asked_is_not_guessed_at(past: Goal) -> None:
    found = policy_backtest({"rules": [{"required": ["execution"]}]})
    assert found.counts[("accept", "unheard")] == 2
    assert found.unheard == {"execution": 4}


def test_it_looks_at_the_latest_attempts_of_the_project_named(past: Goal) -> None:
    assert policy_backtest(LOOK, limit=3).attempts == 3
    (latest,) = policy_backtest({"rules": [{"person": True, "rounds_max": 1}]}, limit=1).changed
    assert latest.attempt == Attempt.objects.latest("pk").pk
    assert policy_backtest(LOOK, project="default").attempts == 4
    assert policy_backtest(LOOK, project="another").attempts == 0


def test_it_compares_with_the_policy_that_each_attempt_was_judged_by() -> None:
    verification.policy_add({"rules": [{"required": ["safety"]}]}, by="ann", reason="x")
    pump(submit(node("a")))
    advisory = policy_backtest({"rules": [], "advisory": ["schema"]})
    assert advisory.counts == {("accept", "person"): 1}
    assert policy_backtest({"rules": []}).counts == {("accept", "accept"): 1}


def told(*given: str) -> str:
    out = io.StringIO()
    call_command("verifiers", "backtest", *given, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_command_prints_counts_and_changes_and_writes_nothing(
    past: Goal, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(LOOK))
    before = row_counts()
    text = told(str(file))
    assert "the policy wants a person to look" in text
    data = json.loads(told(str(file), "--limit", "10", "--json"))
    assert data["attempts"] == 4
    assert {"was": "accept", "would": "person", "attempts": 2} in data["counts"]
    assert data["changed"][0]["rule"] == "look"
    assert row_counts() == before


def test_what_cannot_be_used_is_refused(past: Goal, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    with pytest.raises(BadInput, match="cannot be read"):
        told(str(file))
    file.write_text("{")
    with pytest.raises(BadInput, match="not JSON"):
        told(str(file))
    file.write_text('{"rules": [{"required": ["shema"]}]}')
    with pytest.raises(BadInput, match="did you mean `schema`"):
        told(str(file))
    file.write_text(json.dumps(LOOK))
    with pytest.raises(NoSuchName):
        told(str(file), "--project", "nowhere")


def test_what_a_document_forbids_counts_as_it_would_have() -> None:
    pump(submit(node("a", inputs={"said": "a purple cow"}), node("b")))
    found = policy_backtest({"rules": [{"forbid": [{"in": "text", "match": "purple cow"}]}]})
    assert [(c.task, c.was, c.would, c.rule) for c in found.changed if c.task == "a"] == [
        ("a", "accept", "reject", "veto")
    ]
