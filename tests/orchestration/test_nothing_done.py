"""A goal whose tasks were all optional may succeed with nothing done: then it says so, everywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.management import call_command

from orchestration.domain.advancing import Observed, Succeed, decide
from orchestration.models import Goal, LedgerEntry
from orchestration.services.why import why
from tests.orchestration.pump import node, pump, submit

SAYS = "0 of 3 done: try-0, try-1, try-2 failed, all of them optional; try-0: "


def trying(count: int) -> list[dict[str, Any]]:
    return [
        node(
            f"try-{n}", agent="command", inputs={"argv": ["false", str(n)]}, optional=True,
            retry={"attempts_max": 1},
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_the_end_says_that_nothing_was_done_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    goal = pump(submit(*trying(3)))
    assert (goal.state, goal.reason[: len(SAYS)]) == ("succeeded", SAYS)
    assert why(str(goal.pk)).sentence.startswith(f"goal-{goal.pk} succeeded, {SAYS}")
    for words in (("goals", "show"), ("brief",)):
        call_command(*words, str(goal.pk))
        assert SAYS in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        call_command("goals", "watch", str(goal.pk))
    shown = capsys.readouterr()
    assert (ended.value.code, SAYS in shown.out, SAYS in shown.err) == (0, True, True)
    call_command("goals", "show", str(goal.pk), "--json")
    assert json.loads(capsys.readouterr().out)["reason"] == goal.reason
    entry = LedgerEntry.objects.get(goal=goal, event="goal.succeeded")
    assert entry.payload["reason"] == goal.reason


@pytest.mark.django_db(transaction=True)
def test_where_one_is_done_nothing_is_said() -> None:
    assert pump(submit(*trying(2), node("good"))).reason == ""
    assert Goal.objects.get().state == "succeeded"


def test_only_a_few_are_named_and_a_goal_without_tasks_has_nothing_to_say() -> None:
    failed = tuple((f"t-{n}", "x" * 1000) for n in range(10))
    said = decide(Observed((), (), 0, 0, (), total=10, done=0, went_without=failed))
    assert isinstance(said, Succeed)
    assert said.reason.startswith("0 of 10 done: t-0, t-1, t-2, t-3, t-4 and 5 more failed")
    assert len(said.reason) < 400
    assert decide(Observed((), (), 0, 0, (), total=2)) == Succeed("0 of 2 done")
    assert decide(Observed((), (), 0, 0, ())) == Succeed("")
