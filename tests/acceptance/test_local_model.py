"""A goal that a real model works on, in a worker's own process, where the extra local-llm is."""

from __future__ import annotations

import pytest

from agentsys.gateway import local
from orchestration.models import Budget, SwarmItem
from orchestration.services.fsck import fsck
from tests.acceptance.workers import Workers, ended
from tests.orchestration.pump import submit, task_named
from tests.orchestration.swarming import output, over

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        bool(local.problem_of("smollm2")), reason=f"the extra local-llm is absent: {local.INSTALL}"
    ),
]
KIND = {
    "type": "object",
    "properties": {"kind": {"enum": ["fruit", "animal"]}},
    "required": ["kind"],
    "additionalProperties": False,
}


def test_a_real_model_answers_a_goal_in_the_form_that_was_asked_for(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTSYS_MODEL", "local:smollm2?temperature=0&max_tokens=30")
    workers.start(concurrency=2)
    swarm = over(["apple", "horse"], micro="ask", output_schema=KIND, budget={"tokens": 100_000})
    swarm["swarm"]["with"] = {"prompt": "Is it a fruit or an animal?", "schema": KIND}
    goal = ended(submit(swarm), workers, seconds=120)
    assert goal.state == "succeeded", workers.said()
    kinds = [found["kind"] for found in output(goal)["result"]]
    assert len(kinds) == 2
    assert set(kinds) <= {"fruit", "animal"}
    task = task_named(goal, "map")
    items = SwarmItem.objects.filter(task=task)
    assert all(item.tokens > 0 and item.attempts == 1 for item in items)
    paid = Budget.objects.get(task=task)
    assert paid.tokens_spent == sum(item.tokens for item in items)
    assert (paid.tokens_reserved, paid.cost_usd_spent) == (0, 0)
    assert fsck(goal.pk, deep=True) == []
