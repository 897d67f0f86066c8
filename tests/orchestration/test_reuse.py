"""The same task on the same inputs is not done twice."""

from __future__ import annotations

from typing import Any

import pytest

from agentsys.kernel.errors import BadInput
from orchestration.models import Attempt, Goal, Task, WorkHash
from orchestration.services.advance import advance
from orchestration.services.fsck import fsck
from orchestration.services.ledger import ledger_verify
from orchestration.services.rebuild import rebuild_check
from tests.orchestration.pump import attempt_of, events, node, pump, submit
from verification import scoreboard
from verification import services as verification

pytestmark = pytest.mark.django_db(transaction=True)


def command(key: str, *needs: str, text: str = "hello", **rest: Any) -> dict[str, Any]:
    """A task that takes real time: each run of it is told apart by what it prints."""
    inputs = {"argv": ["sh", "-c", f"echo {text}; head -c 8 /dev/urandom | od -An -tx1"]}
    return node(key, *needs, agent="command", inputs=inputs, **rest)


def output(goal: Goal, key: str) -> str:
    report = attempt_of(goal, key).report or {}
    return str(report["output"]["stdout"])


def whole(goal: Goal) -> None:
    assert goal.state == "succeeded"
    assert fsck(goal.pk) == []
    assert ledger_verify(goal.pk) == []
    assert rebuild_check(goal.pk) == []


def test_the_second_of_two_equal_tasks_takes_over_what_the_first_handed_in() -> None:
    goal = pump(submit(command("one"), command("two")))
    assert output(goal, "one") == output(goal, "two")
    assert events(goal).count("work.reused") == 1
    first, second = attempt_of(goal, "one"), attempt_of(goal, "two")
    assert (second.report or {})["reused"]["attempt"] == first.pk
    assert second.artifact_hash == first.artifact_hash
    said = verification.verdicts_of([first.pk, second.pk])
    assert [v.outcome for v in said[second.pk]] == [v.outcome for v in said[first.pk]]
    whole(goal)


@pytest.mark.parametrize(
    "other",
    [command("two", "one", text="other"), command("two", "one", reuse="never")],
    ids=["other inputs", "never"],
)
def test_what_is_not_the_same_or_must_not_be_is_done(other: dict[str, Any]) -> None:
    goal = pump(submit(command("one"), other))
    assert output(goal, "one") != output(goal, "two")
    assert "work.reused" not in events(goal)


def test_in_another_goal_it_is_done_anew_unless_the_task_says_project() -> None:
    first, second = (pump(submit(command("one"))) for _ in range(2))
    assert output(first, "one") != output(second, "one")
    third, fourth = (pump(submit(command("one", reuse="project"))) for _ in range(2))
    assert output(third, "one") == output(fourth, "one")
    whole(fourth)


def test_another_project_is_another_world() -> None:
    first = pump(submit(command("one", reuse="project")))
    other = pump(submit(command("one", reuse="project"), project="other"))
    assert output(first, "one") != output(other, "one")


def test_what_a_person_had_to_say_yes_to_is_not_taken_over() -> None:
    goal = pump(submit(command("one", reuse="project")))
    verification.verdict_override(
        attempt_of(goal, "one").pk, "schema", outcome="pass", by="ada", reason="I know it"
    )
    again = pump(submit(command("one", reuse="project")))
    assert output(goal, "one") != output(again, "one")


def test_what_would_not_be_accepted_any_more_is_done_anew() -> None:
    goal = pump(submit(command("one", reuse="project")))
    scoreboard.standing_set("schema", "advisory", by="ada", reason="it passed what was wrong")
    again = pump(submit(command("one", reuse="project")))
    assert output(goal, "one") != output(again, "one")
    assert "work.reused" not in events(again)


def test_a_second_attempt_works_anew() -> None:
    goal = pump(submit(command("one", reuse="project")))
    later = submit(command("one", reuse="project"))
    advance(later.pk)
    Attempt.objects.filter(goal=later).update(number=2)
    later = pump(later)
    assert output(goal, "one") != output(later, "one")


def test_cheap_tasks_are_not_looked_up() -> None:
    pump(submit(node("a"), node("b")))
    assert not WorkHash.objects.exists()


def test_an_unknown_reuse_is_refused() -> None:
    with pytest.raises(BadInput, match="expected goal or project or never"):
        submit(command("one", reuse="always"))
    assert not Task.objects.exists()
