"""What pausing and resuming say: who paused what, what stays paused, and what goes on with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agentsys.kernel.errors import ExitCode, NotFound
from orchestration.models import Goal, Project
from orchestration.services.fsck import fsck
from orchestration.services.pausing import (
    everything_pause,
    goal_pause,
    goal_resume,
    project_pause,
    project_resume,
    task_pause,
)
from orchestration.services.standstill import StandsStill
from orchestration.services.sweep import sweep
from orchestration.services.why import why
from tests import factories as given
from tests.orchestration.pump import events, node, pump, submit, task_named
from tests.orchestration.test_commands import Said

pytestmark = pytest.mark.django_db(transaction=True)


def told(goal: Goal) -> str:
    return why(f"goal-{goal.pk}").sentence


def test_resuming_a_goal_that_stands_with_its_project_is_refused_and_changes_nothing() -> None:
    goal = submit(node("a"), project="mine")
    project_pause("mine", actor="ann", reason="audit")
    before, written = told(goal), events(goal)
    way = r"its project mine is, by ann since .* \(audit\); `goals resume --project mine` goes on"
    with pytest.raises(StandsStill, match=way) as refused:
        Said("goals", "resume", str(goal.pk))
    assert refused.value.exit_code == ExitCode.CONFLICT
    assert (told(goal), events(goal)) == (before, written)
    everything_pause(actor="root")
    project_resume("mine", actor="ann")
    with pytest.raises(StandsStill, match=r"everything is, by root .*`goals resume --everything`"):
        goal_resume(goal.pk, actor="bob")


def test_a_goal_handed_over_to_a_wider_pause_says_who_paused_that_and_why() -> None:
    own, swept = submit(node("a"), project="mine"), submit(node("a"), project="mine")
    goal_pause(own.pk, actor="bob", reason="lunch")
    project_pause("mine", actor="ann", reason="audit")
    goal_resume(own.pk, actor="bob")
    assert re.search(r"by ann since \S+ UTC \(audit\)", told(own))
    assert told(own).split("since")[1][:9] == told(swept).split("since")[1][:9]
    assert fsck(own.pk) == []


def test_what_runs_is_said_to_end_by_who_pauses_and_not_by_who_resumes() -> None:
    goal = given.goal()
    given.task(goal, "a", state="running")
    assert "1 attempt is in flight and comes to its end" in Said("goals", "pause", str(goal.pk)).err
    assert "in flight" not in Said("goals", "resume", str(goal.pk)).err


def test_a_goal_that_comes_into_a_pause_says_so_and_who_paused() -> None:
    submit(node("a"), project="mine")
    project_pause("mine", actor="ann", reason="audit")
    late = submit(node("a"), project="mine")
    assert re.search(r"paused by ann since \S+ UTC \(audit\)", told(late))
    everything_pause(actor="root", reason="fire")
    assert re.search(r"by root since \S+ UTC \(fire\)", told(submit(node("a"), project="new")))


def test_a_project_that_was_paused_while_it_was_empty_says_who_did_it() -> None:
    Project.objects.create(name="mine")
    project_pause("mine", actor="ann", reason="audit")
    project_pause("mine", actor="bob", reason="me too")  # it was paused already
    assert re.search(
        r"paused by ann since \S+ UTC \(audit\)", told(submit(node("a"), project="mine"))
    )
    project_resume("mine", actor="bob")
    project = Project.objects.get(name="mine")
    assert (project.paused_actor, project.paused_reason) == ("", "")


def test_submit_says_that_the_goal_stands_still(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"objective": "to test", "tasks": [node("a")]}))
    everything_pause(actor="root", reason="fire")
    said = Said("goals", "submit", "--plan", str(plan))
    assert re.search(r"goal-\d+ is paused by root .*\(fire\); .*--everything", said.out)
    assert Said("goals", "submit", "--plan", str(plan), "--json").data["paused"] is True


def test_the_sweep_carries_the_reason_of_the_pause_that_it_spreads() -> None:
    goal = submit(node("a"))
    everything_pause(actor="root", reason="fire")
    Goal.objects.filter(pk=goal.pk).update(paused_at=None, paused_by="")
    sweep()
    assert "(fire)" in told(goal)


def test_a_pause_of_tasks_names_them_and_the_table_shows_them() -> None:
    goal = submit(node("a"), node("b", "a"), node("report", "b"))
    assert Said("goals", "pause", "--task", f"{goal.pk}/b").out.strip() == "b, report stand still"
    again = Said("goals", "pause", "--task", f"{goal.pk}/b")
    assert "nothing changed" in again.out
    pump(goal)
    lines = Said("goals", "show", str(goal.pk)).out.splitlines()
    b, report = (next(x for x in lines if x.startswith(key)) for key in ("b ", "report "))
    assert "‖ paused" in b
    assert f"ready, `goals resume --task {goal.pk}/b` goes on" in b
    assert "with b" in report
    view = Said("goals", "show", str(goal.pk), "--json").data
    assert [t["paused"] for t in view["tasks"]] == [False, True, True]


def test_resuming_less_than_was_paused_says_what_is_paused_still() -> None:
    goal = submit(node("a"), node("b", "a"), node("report", "b"))
    task_pause(task_named(goal, "b").pk, actor="ann")
    said = Said("goals", "resume", "--task", f"{goal.pk}/report")
    assert said.out.strip() == "report goes on"
    assert f"still paused: b; `goals resume --task {goal.pk}/b` goes on" in said.err
    whole = Said("goals", "resume", str(goal.pk))
    assert (whole.code, f"`goals resume --task {goal.pk}/b`" in whole.err) == (0, True)
    said = Said("goals", "resume", "--task", f"{goal.pk}/b")
    assert (said.out.strip(), "paused" in said.err) == ("b goes on", False)


def test_one_goal_is_a_goal_in_the_singular() -> None:
    submit(node("a"), project="mine")
    assert Said("goals", "pause", "--project", "mine").out.strip() == "1 goal stands still"
    assert Said("goals", "resume", "--project", "mine").out.strip() == "1 goal goes on"
    with pytest.raises(NotFound, match="no project nosuch; there is mine"):
        Said("goals", "pause", "--project", "nosuch")
