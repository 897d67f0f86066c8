"""What a stored policy makes of attempts, and that the record says which version it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agentsys.kernel.errors import BadInput
from orchestration.models import ApprovalRequest, Attempt, Goal
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.ledger import ledger_verify
from orchestration.services.running import serve
from tests import factories as given
from tests.orchestration.pump import (
    asked_about,
    attempt_of,
    judge,
    node,
    pump,
    submit,
    task_named,
    turn,
)
from verification import services as verification
from verification.models import Verdict

pytestmark = pytest.mark.django_db(transaction=True)

NEEDS_MORE = {"output_schema": {"type": "object", "required": ["more"]}}
ACTION = {"action": {"argv": ["true"], "why": "to do something"}}


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


@pytest.fixture
def ann() -> User:
    given.project()
    return given.person("ann")


def in_force(*rules: dict[str, Any], **rest: Any) -> int:
    return verification.policy_add({"rules": list(rules), **rest}, by="ann", reason="to try")


def verifiers(goal: Goal) -> list[str]:
    rows = Verdict.objects.filter(goal_id=goal.pk).order_by("pk")
    return list(rows.values_list("verifier", flat=True))


def whole(goal: Goal) -> None:
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []


def test_without_a_policy_tasks_alone_say_what_they_require() -> None:
    goal = pump(submit(node("a")))
    assert verifiers(goal) == ["schema"]
    assert "policy" not in (attempt_of(goal, "a").report or {})
    assert "policy" not in goal.ledger.get(event="task.accepted").payload


def test_a_task_is_held_to_the_floor_and_the_ledger_says_to_which() -> None:
    version = in_force({"kind": "report", "required": ["safety"]})
    goal = pump(submit(node("a"), node("b")))
    assert sorted(set(verifiers(goal))) == ["safety", "schema"]
    for entry in goal.ledger.filter(event="task.accepted"):
        assert entry.payload["policy"] == version
        assert entry.payload["verdicts"] == {"schema": "pass", "safety": "pass"}
    whole(goal)


def test_a_rejection_is_on_record_with_its_rule_and_policy() -> None:
    version = in_force({"required": ["safety"]})
    goal = pump(submit(node("a", retry={"attempts_max": 1}, **NEEDS_MORE)))
    payload = goal.ledger.get(event="attempt.rejected").payload
    assert (payload["rule"], payload["policy"]) == ("fail", version)


def test_an_attempt_is_decided_by_the_policy_that_it_was_judged_by() -> None:
    first = in_force({"required": ["execution"]})
    goal = submit(node("a", check={"argv": ["true"]}))
    serve()
    assert task_named(goal, "a").state == "verifying"
    in_force({"required": ["execution", "grounding", "consensus"]})
    judge(goal)
    assert task_named(goal, "a").state == "done"
    assert goal.ledger.get(event="task.accepted").payload["policy"] == first


def test_a_question_to_a_person_is_on_record_with_its_rule_and_policy() -> None:
    version = in_force({"required": ["grounding"]})
    goal = pump(submit(node("a")))
    assert asked_about(goal).context["policy"] == version
    held = goal.ledger.get(event="task.held").payload
    assert held == {"rule": "unproven", "policy": version}


def test_after_the_last_round_a_person_decides_and_needs_a_reason(ann: User) -> None:
    in_force({"rounds_max": 2})
    goal = pump(submit(node("a", retry={"attempts_max": 5}, **NEEDS_MORE)))
    assert Attempt.objects.filter(goal=goal).count() == 2
    request = asked_about(goal)
    assert "rejected in round 2, and the policy allows 2" in request.question
    with pytest.raises(BadInput, match="needs a reason here"):
        approval_decide(request.pk, user=ann, decision="approve", reason=" ")
    assert task_named(goal, "a").state == "held"
    approval_decide(request.pk, user=ann, decision="approve", reason="good enough for once")
    assert pump(goal).state == "succeeded"
    whole(goal)


def test_where_policy_wants_a_person_what_passed_waits_for_one(ann: User) -> None:
    version = in_force({"kind": "report", "person": True})
    goal = pump(submit(node("a")))
    request = asked_about(goal)
    assert (request.kind, request.context["rule"]) == ("verdict", "look")
    approval_decide(request.pk, user=ann, decision="approve")
    assert pump(goal).state == "succeeded"
    assert goal.ledger.get(event="task.accepted").payload["policy"] == version
    whole(goal)


def test_a_person_who_looks_at_a_proposal_is_not_asked_twice(ann: User, tmp_path: Path) -> None:
    in_force({"kind": "action", "person": True})
    goal = pump(submit(node("act", agent="devops", inputs=ACTION)))
    request = asked_about(goal)
    assert request.kind == "proposal"
    approval_decide(request.pk, user=ann, decision="approve")
    assert pump(goal).state == "succeeded"
    assert ApprovalRequest.objects.filter(goal=goal).count() == 1


def test_an_advisory_verifier_that_is_required_needs_a_person() -> None:
    in_force({"required": ["safety"]}, advisory=["safety"])
    goal = pump(submit(node("a")))
    assert asked_about(goal).context["rule"] == "advisory"


def test_cheap_tasks_of_a_process_share_one_look_at_the_policy() -> None:
    in_force({"required": ["safety"]})
    goal = submit(*(node(f"t{number}") for number in range(40)))
    with CaptureQueriesContext(connection) as seen:
        turn(goal)
    assert task_named(goal, "t39").state == "done"
    looks = [q for q in seen.captured_queries if "policyversion" in q["sql"]]
    assert len(looks) == 1


def test_what_policy_forbids_is_vetoed_with_its_reason() -> None:
    in_force({"forbid": [{"in": "text", "match": "purple  COW", "say": "no cows here"}]})
    goal = pump(submit(node("a", inputs={"said": "a Purple cow"}, retry={"attempts_max": 1})))
    assert goal.state == "failed"
    assert verifiers(goal) == ["schema", "safety"]  # the task asked for schema alone
    (said,) = Verdict.objects.filter(goal_id=goal.pk, verifier="safety")
    assert (said.outcome, said.veto) == ("fail", True)
    assert any("no cows here" in reason for reason in said.reasons)
    whole(goal)


def test_work_that_policy_forbids_by_now_is_not_taken_over() -> None:
    task = node("a", inputs={"said": "a purple cow"}, reuse="project")
    first = pump(submit(task))
    in_force({"forbid": [{"in": "text", "match": "purple cow"}]})
    second = pump(submit({**task, "retry": {"attempts_max": 1}}))
    assert (first.state, second.state) == ("succeeded", "failed")
