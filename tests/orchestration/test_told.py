"""What commands say to people: what waits, what is not there, what happened, in words that fit."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from agentsys.kernel.errors import BadInput, ExitCode, NotFound
from agentsys.kernel.wording import counted
from orchestration.admin.goalpage import page
from orchestration.cli.limits import moment_of
from orchestration.cli.output import verdict_word
from orchestration.cli.watch import line, look
from orchestration.domain.settling import Ask, dispose_failure
from orchestration.models import Task
from orchestration.services.goals import goal_cancel
from orchestration.services.pausing import goal_pause
from tests import factories as given
from tests.orchestration.pump import node, pump, submit
from tests.orchestration.test_commands import Said

pytestmark = pytest.mark.django_db(transaction=True)
NEVER = {"agent": "command", "inputs": {"argv": ["false"]}, "retry": {"attempts_max": 1}}


def line_of(text: str, start: object) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{start} "))


def test_the_list_tells_a_goal_that_waits_for_a_person_from_one_that_works() -> None:
    asks, works = given.goal(state="running"), submit(node("a"))
    given.approval(given.task(asks, "risky", state="held"))
    both = given.goal(state="running")
    given.approval(given.task(both, "risky", state="held"))
    given.task(both, "other", state="ready")
    paused = submit(node("a"))
    goal_pause(paused.pk, actor="ann")
    listed = Said("goals", "list").out
    assert "‖ waiting" in line_of(listed, asks.pk)
    assert "`inbox list`: 1" in line_of(listed, asks.pk)
    assert "▶ running" in line_of(listed, works.pk)
    assert ("▶ running" in line_of(listed, both.pk), ": 1" in line_of(listed, both.pk)) == (
        True,
    ) * 2
    assert "‖ paused" in line_of(listed, paused.pk)
    rows = {row["id"]: row for row in Said("goals", "list", "--json").data}
    assert (rows[asks.pk]["waits"], rows[asks.pk]["asks"], rows[works.pk]["waits"]) == (
        True, 1, False,
    )  # fmt: skip


def test_a_goal_whose_plan_waits_for_a_person_is_waiting_in_the_terminal_as_in_the_console() -> (
    None
):
    goal = submit(node("a"), review=True)
    for told in (line_of(Said("goals", "list").out, goal.pk), line(look(goal.pk))):
        assert page(goal, {})["shown_state"] == "waiting"
        assert "waiting" in told
        assert "plan_review" not in told
    shown = Said("goals", "show", str(goal.pk)).out
    assert "plan_review" not in shown
    assert "waits for a person to look at its plan" in shown


def test_what_was_handed_in_for_review_says_who_is_to_look_at_it(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"objective": "to test", "tasks": [node("a")]}))
    said = Said("goals", "submit", "--plan", str(plan), "--review").out
    assert re.search(r"waits for a person to look at its plan .*`inbox show \d+`", said)


def test_a_goal_s_state_stands_there_once() -> None:
    goal = submit(node("a"))
    goal_cancel(goal.pk, actor="ann", reason="no need")
    shown = Said("goals", "show", str(goal.pk)).out
    assert shown.startswith(f"goal-{goal.pk}: to test\n")
    assert shown[: shown.index(" done, ")].count("cancelled") == 1


def test_a_state_or_a_project_that_there_is_not_is_said() -> None:
    submit(node("a"), project="mine")
    with pytest.raises(BadInput, match=r"`nonsense` is no state; expected draft, .*cancelled"):
        Said("goals", "list", "--state", "nonsense")
    with pytest.raises(NotFound, match="no project nosuch; there is mine") as refused:
        Said("goals", "list", "--project", "nosuch")
    assert refused.value.exit_code == ExitCode.NOT_FOUND


def test_a_key_of_a_goal_that_there_is_not_is_about_the_goal() -> None:
    for words in (("goals", "show", "99999/x"), ("why", "99999/x")):
        with pytest.raises(NotFound, match="no goal 99999; `goals list` shows"):
            Said(*words)


def test_an_unknown_person_is_told_with_those_who_there_are() -> None:
    with pytest.raises(NotFound, match=r"no user nobody; there (is none|are? \w+)"):
        Said("inbox", "approve", "1", "--user", "nobody")


def test_a_directive_is_acknowledged_with_who_reads_it_and_when() -> None:
    goal = submit(node("a"))
    said = Said("goals", "direct", str(goal.pk), "mind the gap").err
    assert f"every later brief of goal-{goal.pk}" in said
    assert "at their next step" in said
    assert "without one take no notice" in said


def test_a_fork_names_its_source_and_what_it_begins_with() -> None:
    goal = pump(submit(node("a"), node("b", "a", **NEVER)))
    said = Said("goals", "fork", str(goal.pk))
    assert f"is forked from goal-{goal.pk}; done already: a" in said.err


def test_the_ledger_is_shown_as_json_with_keys_of_tasks() -> None:
    goal = pump(submit(node("a")))
    said = Said("ledger", "show", str(goal.pk)).out
    assert "{'" not in said
    assert '{"' in said
    assert any(" a " in line and " task." in line for line in said.splitlines())
    rows = Said("ledger", "show", str(goal.pk), "--json").data
    task = Task.objects.get(goal=goal)
    assert {(r["task"], r["task_key"]) for r in rows if r["task"]} == {(task.pk, "a")}


def test_what_is_over_has_no_stale_reason_and_a_reason_is_not_cut_in_its_useful_half() -> None:
    goal = given.goal()
    over = given.task(goal, "over", state="done", reason="a proposal waits")
    over.attempts.update(note="step 1")
    long = (
        "goal-1 has no budget for 9,000 more tokens: " + "x" * 80 + " raise it with `goals budget`"
    )
    given.task(goal, "stops", state="held", reason=long)
    shown = Said("goals", "show", str(goal.pk)).out
    assert "a proposal waits" not in shown
    assert "step 1" not in shown
    assert "raise it with `goals budget`" in shown


def test_a_deadline_takes_seconds() -> None:
    left = moment_of("30s") - timezone.now()
    assert timedelta(0) < left <= timedelta(seconds=30)
    with pytest.raises(BadInput, match="30s, 90m, 3h, 2d"):
        moment_of("30x")


@pytest.mark.parametrize("message", ["Raise it to go on", "Raise it to go on."])
def test_a_question_about_a_budget_ends_its_sentence_first(message: str) -> None:
    asked = dispose_failure({"kind": "budget", "message": message})
    assert isinstance(asked, Ask)
    assert asked.question["text"] == "Raise it to go on. Go on?"


def test_a_verdict_that_a_person_overruled_is_marked() -> None:
    said = {"verifier": "semantic", "outcome": "fail", "overridden_by": None}
    assert verdict_word(said) == "semantic:fail"
    said |= {"overridden_by": "ann", "override_outcome": "pass"}
    assert verdict_word(said) == "semantic:fail→pass (ann)"
    assert verdict_word({**said, "override_outcome": "fail"}) == "semantic:fail (ann)"


def test_a_failed_goal_names_every_way_that_lets_it_go_on() -> None:
    goal = pump(submit(node("a", **NEVER)))
    said = Said("why", str(goal.pk)).out
    for way in ("goals retry {}`", "goals edit {}/KEY", "goals override {}/KEY"):
        assert way.format(goal.pk) in said


def test_one_is_in_the_singular() -> None:
    assert [counted(n, "goal") for n in (0, 1, 2, 2000)] == [
        "0 goals", "1 goal", "2 goals", "2,000 goals",
    ]  # fmt: skip
    assert counted(1, "entry", "entries") == "1 entry"
