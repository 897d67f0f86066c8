"""The plan in force is a plan file: it validates, changes nothing as it is, and can be edited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsys.kernel.errors import NotFound
from orchestration.models import Attempt, Task
from orchestration.services.fsck import fsck
from orchestration.services.goals import goal_submit
from orchestration.services.pausing import task_pause, task_resume
from orchestration.services.planfile import plan_file
from orchestration.services.replan import plan_extend, plan_revise, task_edit
from tests.orchestration.pump import node, pump, submit, turn
from tests.orchestration.test_commands import Said

pytestmark = pytest.mark.django_db(transaction=True)
EACH = {"agent": "noop", "objective": "x", "verify": ["schema"]}


def test_it_validates_and_handed_in_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    fan = {"over": "${tasks.seed.output.echo.items}", "task": EACH}
    goal = submit(
        node("seed", inputs={"items": [1, 2]}),
        node("fan", "seed", agent="collect", fan_out=fan),
        node("last", "fan", phase="end", priority=2),
    )
    task_edit(goal.pk, "seed", {"inputs": {"items": [1, 2, 3]}}, actor="ann")
    last = Task.objects.get(goal=goal, key="last", state="blocked").pk
    task_pause(last, actor="ann")
    while not Task.objects.filter(goal=goal, parent__isnull=False).exists():
        turn(goal)
    goal.refresh_from_db()
    assert goal.state == "running"
    task_resume(last, actor="ann")
    plan_extend(goal.pk, {"tasks": [node("more", "seed")]}, actor="ann")
    path, version = tmp_path / "p.json", plan_file(goal.pk).version
    said = Said("plans", "show", str(goal.pk), "--file")
    assert f"`plans revise {goal.pk} FILE --base {version}`" in said.err
    path.write_text(said.out)
    assert {t["key"] for t in said.data["tasks"]} == {"seed", "fan", "last", "more"}
    assert "valid: 4 tasks" in Said("plans", "validate", str(path)).out
    for words in (["--dry-run"], []):
        told = Said("plans", "revise", str(goal.pk), str(path), "--base", str(version), *words)
        assert told.out.strip() == (
            f"nothing changes: the plan of goal-{goal.pk} stays at version {version}"
        )
    document: dict[str, Any] = said.data
    document["tasks"].append(node("extra", "last"))
    told = plan_revise(goal.pk, document, base_version=version, actor="ann")
    assert (told.new, told.again, told.dropped) == (("extra",), (), ())
    assert pump(goal).state == "succeeded"
    assert fsck(goal.pk, deep=True) == []


def test_a_goal_without_a_plan_has_no_plan_file() -> None:
    goal = goal_submit(objective="a model is to plan this", actor="ann")
    with pytest.raises(NotFound, match="no plan of goal"):
        Said("plans", "show", str(goal.pk), "--file")


def test_a_dry_run_says_what_runs_at_all_what_again_what_was_spent_and_who_is_revived(
    tmp_path: Path,
) -> None:
    never = {"agent": "command", "inputs": {"argv": ["false"]}, "retry": {"attempts_max": 1}}
    goal = pump(submit(node("a"), node("b", "a", **never), node("report", "b")))
    assert goal.state == "failed"
    Attempt.objects.filter(goal=goal, task__key="b").update(tokens=1500, cost_usd="0.02")
    inputs = json.dumps({"argv": ["true"]})
    said = Said("goals", "edit", f"{goal.pk}/b", "--inputs", inputs, "--dry-run").out
    assert "\nruns again: b\n" in said
    assert "runs, for the first time: report" in said
    assert "spent on what does not count any more: 1,500 tokens, $0.0200" in said
    assert f"goal-{goal.pk} had failed and would go on" in said
    goal.refresh_from_db()
    assert goal.state == "failed"
    told = Said("goals", "edit", f"{goal.pk}/b", "--inputs", inputs, "--json").data
    assert (told["begun"], told["revives"], told["again"]) == (["b"], True, ["b", "report"])
