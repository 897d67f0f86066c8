"""Who asks a model pays for it: planning and verifying, too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentsys.gateway import chat
from agentsys.gateway.scripted import scripted
from orchestration.models import Budget, Reservation
from orchestration.planners import make_plan
from orchestration.services.budgets import BudgetExceeded
from orchestration.services.metering import GoalMeter
from orchestration.services.running import task_serve
from tests import factories as given
from tests.orchestration.pump import judge, node, submit, task_named
from verification.models import Verdict
from workers.models import ModelCall

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def speak(settings: Any) -> Any:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:payer?max_tokens=500")
    return lambda *turns: scripted("payer", turns)


def test_a_planner_pays_from_the_goals_budget(speak: Any) -> None:
    plan = {"objective": "o", "tasks": [{"key": "a", "agent": "noop", "objective": "do"}]}
    speak(plan)
    goal = given.goal()
    make_plan(objective="mine", meter=GoalMeter(goal.pk))
    call = ModelCall.objects.get(goal_id=goal.pk)
    budget = Budget.objects.get(goal=goal)
    assert (call.role, call.outcome, call.attempt_id) == ("planner", "ok", None)
    assert budget.tokens_spent == call.input_tokens + call.output_tokens > 0
    assert (budget.calls_spent, budget.tokens_reserved) == (1, 0)


def test_a_verifier_pays_from_the_budgets_of_what_it_judges(speak: Any) -> None:
    verdict = {"number": 1, "met": "unclear", "quote": "", "why": "I cannot tell"}
    speak({"criteria": [verdict]})
    goal = submit(
        node(
            "a",
            agent="command",
            inputs={"argv": ["true"]},
            acceptance=["it is elegant"],
            verify=["schema", "semantic"],
        )
    )
    task = task_named(goal, "a")
    task_serve(task.pk, task.fence)
    judge(goal)
    call = ModelCall.objects.get(goal_id=goal.pk)
    assert (call.role, call.attempt_id) == ("verifier", task.attempts.get().pk)
    assert Budget.objects.get(goal=goal).calls_spent == 1
    assert not Reservation.objects.exists()


def test_a_verifier_without_budget_says_so_and_nothing_passes(speak: Any) -> None:
    lines = speak({"criteria": []})
    goal = submit(
        node(
            "a",
            agent="command",
            inputs={"argv": ["true"]},
            acceptance=["it is elegant"],
            verify=["schema", "semantic"],
        )
    )
    Budget.objects.filter(goal=goal).update(calls_max=0)
    task = task_named(goal, "a")
    task_serve(task.pk, task.fence)
    judge(goal)
    verdict = Verdict.objects.get(goal_id=goal.pk, verifier="semantic")
    assert verdict.outcome == "error"
    assert "has no budget for 1 more model calls" in str(verdict.reasons)
    assert task_named(goal, "a").state != "done"
    assert lines.asked == []


def test_a_call_that_breaks_gives_back_what_it_had_reserved(speak: Any) -> None:
    speak(ConnectionError("gone"))
    goal = given.goal()
    with pytest.raises(Exception, match="gone"):
        chat([{"role": "user", "content": "hi"}], role="planner", meter=GoalMeter(goal.pk))
    budget = Budget.objects.get(goal=goal)
    assert (budget.tokens_reserved, budget.tokens_spent) == (0, 0)
    assert ModelCall.objects.get(goal_id=goal.pk).outcome == "provider-outage"


def test_another_model_may_be_named_for_one_call(speak: Any) -> None:
    speak("never asked")
    scripted("spare", ["from the spare"])
    said = chat([{"role": "user", "content": "hi"}], role="model", model="scripted:spare")
    assert (said.text, said.model) == ("from the spare", "scripted:spare")


def test_a_full_budget_refuses_before_anything_is_asked(speak: Any) -> None:
    lines = speak("too late")
    goal = given.goal()
    Budget.objects.filter(goal=goal).update(tokens_max=10)
    with pytest.raises(BudgetExceeded):
        chat([{"role": "user", "content": "hi"}], role="planner", meter=GoalMeter(goal.pk))
    assert lines.asked == []
