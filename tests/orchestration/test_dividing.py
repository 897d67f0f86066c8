"""A task that cannot be done is divided while that helps; then a person is asked, with what was tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from django.contrib.auth.models import User

from agentsys.gateway.scripted import Say, Script, scripted
from orchestration.models import Goal, LedgerEntry, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_plan, goal_submit
from orchestration.services.rebuild import rebuild_check
from tests.orchestration.pump import asked_about, node, pump, submit, task_named
from verification.models import Verdict
from workers import registry
from workers.agents.base import Agent, done
from workers.contracts import Brief, Ports, Report

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_once(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, backoff_seconds=0.0)


@pytest.fixture
def plans(settings: Any) -> Callable[..., Script]:
    """A planner that hands in these lists of steps, one after the other."""

    def plans(*lists: list[dict[str, Any]]) -> Script:
        settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:plans")
        return scripted("plans", [Say(calls=(("finish", {"steps": s}),)) for s in lists])

    return plans


def step(key: str, agent: str = "noop", **inputs: Any) -> dict[str, Any]:
    given = inputs or {"part": key}
    return {"key": key, "agent": agent, "objective": f"do {key}", "inputs": given}


def needs(*names: str) -> dict[str, Any]:
    """A noop that never hands in these: a defect for each."""
    return {
        "output_schema": {"type": "object", "required": list(names)},
        "retry": {"attempts_max": 1, "on_exhausted": "replan"},
    }


def decided(goal: Goal) -> list[dict[str, Any]]:
    rows = LedgerEntry.objects.filter(goal=goal, event="replan.decided").order_by("seq")
    return list(rows.values_list("payload", flat=True))


def whole(goal: Goal) -> None:
    assert fsck(goal.pk, deep=True) == []
    assert rebuild_check(goal.pk) == []


FAILS = {"argv": ["false"]}


def test_a_step_is_divided_once_more_when_fewer_defects_are_open(plans: Any) -> None:
    plans(
        [step("e", "command", **FAILS), step("w")],
        [step("x", "command", argv=["false", "again"])],
    )
    goal = pump(submit(node("a", **needs("one", "two", "three"))))
    first, second, third = decided(goal)
    assert (first["task"], first["defects"], first["depth"], first["allowed"]) == ("a", 3, 1, True)
    assert (second["task"], second["defects"], second["depth"]) == ("a[e]", 1, 2)
    assert second["allowed"], second["why"]
    assert second["root"] == third["root"] == "a"
    assert (third["task"], third["allowed"]) == ("a[e][x]", False)
    assert "3 divisions deep" in third["why"]
    request = asked_about(goal)
    assert request.task == task_named(goal, "a[e][x]")
    assert "it is not divided again: it is 3 divisions deep" in request.question
    told = request.context["replans"]
    assert [row["task"] for row in told] == ["a", "a[e]", "a[e][x]"]
    assert {s["key"]: s["ended"] for s in told[0]["steps"]} == {"a[e]": "blocked", "a[w]": "done"}
    assert Task.objects.exclude(state="superseded").get(goal=goal, key="a[e]").parent is not None
    whole(goal)


def test_a_step_that_leaves_as_many_defects_is_for_a_person(plans: Any) -> None:
    plans([step("e", "command", **FAILS)])
    goal = pump(submit(node("a", **needs("one"))))
    first, second = decided(goal)
    assert (first["allowed"], second["allowed"]) == (True, False)
    assert "has not helped: 1 open defect then, 1 now" in second["why"]
    request = asked_about(goal)
    assert request.task == task_named(goal, "a[e]")
    ann = User.objects.create_superuser("ann")
    approval_decide(request.pk, user=ann, decision="respond", reason="try again")
    pump(goal)
    assert "has not helped" in decided(goal)[2]["why"]  # what was refused was not planned again
    approval_decide(asked_about(goal).pk, user=ann, decision="reject", reason="enough")
    assert pump(goal).state == "failed"
    whole(goal)


def test_what_fails_beside_a_divided_task_does_not_count_against_it(plans: Any) -> None:
    plans([step("p")], [step("q")])
    goal = pump(submit(node("a", **needs("one")), node("b", **needs("one"))))
    allowed = [(row["task"], row["allowed"]) for row in decided(goal)]
    assert {("a", True), ("b", True), ("a", False), ("b", False)} == set(allowed)
    whole(goal)


class Lessening(Agent):
    """Hands in one thing more each time it is begun anew after a division."""

    name = "lessening"
    role = "operations"
    description = "For tests."
    inputs_schema: ClassVar = {"type": "object"}
    times = 0

    def run(self, brief: Brief, ports: Ports) -> Report:
        names = ("one", "two", "three")[: Lessening.times]
        Lessening.times += 1
        return done(dict.fromkeys(names, True))


@pytest.fixture
def lessening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lessening, "times", 0)
    monkeypatch.setitem(registry.BUILT_IN, "lessening", f"{__name__}:Lessening")
    monkeypatch.setattr(registry, "_present", lambda: frozenset(registry.BUILT_IN))
    monkeypatch.setitem(registry._loaded, "lessening", Lessening())


def test_a_task_is_divided_again_into_fewer_steps_and_told_what_was_tried(
    plans: Any, lessening: None
) -> None:
    script = plans([step("e"), step("w")], [step("z")])
    goal = submit(node("a", agent="lessening", **needs("one", "two", "three")))
    goal = pump(goal)
    first, second, third = decided(goal)
    assert [row["defects"] for row in (first, second, third)] == [3, 2, 1]
    assert (second["allowed"], second["steps_max"], third["allowed"]) == (True, 1, False)
    assert "none smaller" in third["why"]
    prompt = str([m.content for m in script.asked[1]])
    assert "a[e]" in prompt
    assert "steps_max" in prompt
    states = Task.objects.filter(goal=goal, key__startswith="a[").values_list("key", "state")
    assert dict(states) == {"a[e]": "superseded", "a[w]": "superseded", "a[z]": "done"}
    whole(goal)


def test_a_plan_that_repeats_what_failed_goes_back_with_the_reason(plans: Any) -> None:
    script = plans(
        [step("e", "command", **FAILS)],
        [step("e", "command", **FAILS), step("f", "command", **FAILS)],
        [step("ok")],
    )
    task = {"retry": {"attempts_max": 1, "on_exhausted": "replan"}, "inputs": FAILS}
    goal = pump(submit(node("a", agent="command", **task)))
    told = [str(m.content) for m in script.asked[1]]
    assert any("`e` repeats the task that failed" in text for text in told)
    again = [str(m.content) for m in script.asked[2]]
    assert any("`f` does the same as `e`" in text for text in again)
    assert task_named(goal, "a[ok]").state == "done"
    assert task_named(goal, "a.plan").attempts_count == 1
    whole(goal)


def test_a_plan_is_looked_through_before_any_verifier_is_asked(plans: Any) -> None:
    plans([{"key": "x", "agent": "nobody", "objective": "o", "inputs": {}}], [step("ok")])
    goal = pump(submit(node("a", **needs("one"))))
    attempts = task_named(goal, "a.plan").attempts.values_list("pk", flat=True)
    planned = Verdict.objects.filter(attempt_id__in=attempts)
    assert {verdict.outcome for verdict in planned} == {"pass"}
    assert len(attempts) == 1
    whole(goal)


def test_what_a_verifier_said_is_no_reference_in_what_the_planner_is_told(plans: Any) -> None:
    script = plans([step("ok")])
    odd = {"type": "object", "required": ["${tasks.nowhere.output}"]}
    goal = pump(submit(node("a", **{**needs("one"), "output_schema": odd})))
    assert task_named(goal, "a.plan").state == "done"
    assert "${tasks.nowhere.output}" in str(script.asked[0])
    whole(goal)


def test_a_models_plan_is_sound_before_a_person_is_asked_about_it(settings: Any) -> None:
    settings.AGENTSYS = replace(settings.AGENTSYS, model="scripted:reviewed")
    wrong = {"objective": "o", "tasks": [{"key": "a", "agent": "nobody", "objective": "o"}]}
    with scripted("reviewed", [wrong, wrong, wrong]):
        goal = goal_submit(objective="Do it", review=True, actor="t")
        assert goal_plan(goal.pk) == "failed"
    assert not goal.approvals.exists()
    right = {"objective": "o", "tasks": [{"key": "a", "agent": "noop", "objective": "o"}]}
    scripted("reviewed", [wrong, right])
    goal = goal_submit(objective="Do it", review=True, actor="t")
    goal_plan(goal.pk)
    assert asked_about(goal).context["tasks"] == ["a"]
