"""What a goal's agents work from, and what becomes of their notes when a task or the goal ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentsys.gateway.scripted import Say, scripted
from memory import services as memory
from memory.models import Memory
from orchestration.models import Attempt, Goal, Task
from orchestration.services.approvals import approval_decide
from orchestration.services.wrapup import remember, wrap_up
from tests.orchestration.pump import asked_about, attempt_of, node, pump, submit

pytestmark = pytest.mark.django_db(transaction=True)
NEVER: dict[str, Any] = {
    "acceptance": ["output.text == 'something else'"],
    "verify": ["schema", "semantic"],
    "retry": {"attempts_max": 1},
}


@pytest.fixture(autouse=True)
def _model(settings: Any) -> None:
    settings.AGENTSYS = replace(
        settings.AGENTSYS, embedder="hashing", model="scripted:work", backoff_seconds=0.001
    )


def calls(name: str, **args: Any) -> Say:
    return Say(calls=((name, args),))


def note(goal: Goal, key: str, text: str, lineage: str, trust: str = "unverified") -> int:
    return memory.blackboard_put(
        goal.pk, key, text, actor="model at a", trust=trust, lineage=lineage
    )


def kept(goal: Goal) -> list[tuple[str, str, str]]:
    rows = Memory.objects.filter(namespace=goal.project.namespace, batch=f"goal-{goal.pk}")
    return sorted(rows.values_list("layer", "trust", "text"))


def texts(goal: Goal) -> dict[str, str]:
    return {one["key"]: one["text"] for one in memory.blackboard_get(goal.pk)}


def running(*tasks: dict[str, Any]) -> Goal:
    """A goal whose tasks are done but the last, which asks a person."""
    scripted("work", [calls("ask_person", question="Go on?"), calls("finish", text="done")])
    last = node("last", tasks[-1]["key"], agent="model", objective="Ask")
    return pump(submit(*tasks, last))


# --- At the end ----------------------------------------------------------------------------------


def test_notes_of_work_that_held_are_remembered_and_the_others_are_gone(ann: User) -> None:
    goal = running(node("a"))
    held = attempt_of(goal, "a").lineage
    note(goal, "server", "Staging is called tulip", held)
    note(goal, "read on the web", "Do as I say", held, trust="untrusted")
    note(goal, "of nobody", "No attempt wrote this", "")
    note(goal, "of another", "An attempt that is not there", "t9.9")
    note(goal, "decided", "We deploy on Mondays", held, trust="verified")
    approval_decide(asked_about(goal).pk, user=ann, decision="respond", reason="yes")
    assert pump(goal).state == "succeeded"
    wrap_up(goal.pk)
    assert kept(goal) == [
        ("episodic", "unverified", "server: Staging is called tulip"),
        ("semantic", "verified", "decided: We deploy on Mondays"),
    ]
    assert texts(goal) == {}
    (row,) = Memory.objects.filter(namespace=goal.project.namespace, layer="semantic")
    assert row.provenance["source"] == f"the blackboard of goal-{goal.pk}"


def test_what_happened_is_remembered_by_the_names_of_tasks() -> None:
    goal = pump(submit(node("sweep-the-shop")))
    remember(goal)
    told = Memory.objects.filter(namespace=goal.project.namespace).values_list("text", flat=True)
    assert any(
        text.startswith(f"task sweep-the-shop of goal-{goal.pk} was accepted") for text in told
    )


def test_promoting_twice_is_once(ann: User) -> None:
    goal = running(node("a"))
    held = attempt_of(goal, "a").lineage
    note(goal, "server", "Staging is called tulip", held)
    for _ in range(2):
        memory.blackboard_promote(goal.pk, goal.project.namespace, accepted={held})
    remember(goal)
    remember(goal)
    assert len(kept(goal)) == 1


def test_what_a_refused_attempt_noted_is_taken_off_and_what_it_replaced_holds_again() -> None:
    goal = running(node("a"))
    task = Task.objects.get(goal=goal, key="last")
    theirs = Attempt.objects.get(task=task).lineage
    note(goal, "server", "tulip", attempt_of(goal, "a").lineage)
    note(goal, "server", "rose", theirs)
    note(goal, "server", "daisy", theirs)
    note(goal, "mine", "gone soon", theirs)
    assert memory.blackboard_drop(goal.pk, [theirs]) == 3
    assert texts(goal) == {"server": "tulip"}
    assert memory.blackboard_drop(goal.pk, [theirs, ""]) == 0


def test_a_task_that_fails_takes_its_notes_with_it(ann: User) -> None:
    scripted(
        "work",
        [
            calls("write_board", key="k", text="of work that fails"),
            calls("finish", text="x"),
            calls("ask_person", question="Go on?"),
            calls("finish", text="done"),
        ],
    )
    failing = node("one", agent="model", objective="Note it", optional=True)
    goal = pump(submit({**failing, **NEVER}, node("two", "one", agent="model", objective="Ask")))
    assert Task.objects.get(goal=goal, key="one").state == "failed"
    assert texts(goal) == {}  # while the goal goes on
    approval_decide(asked_about(goal).pk, user=ann, decision="respond", reason="yes")
    pump(goal)
    wrap_up(goal.pk)
    assert kept(goal) == []
    assert not Memory.objects.filter(layer="working").exists()


# --- In the brief --------------------------------------------------------------------------------


@pytest.fixture
def ann() -> User:
    return User.objects.create_superuser("ann")


def test_the_brief_has_the_board_as_data_and_what_people_decided(ann: User) -> None:
    lines = scripted(
        "work",
        [
            calls("ask_person", question="Shall I obey the question?"),
            calls("finish", text="asked"),
            calls("finish", text="read"),
        ],
    )
    first = node("first", agent="model", objective="Ask")
    goal = pump(submit(first, node("second", "first", agent="model", objective="Read")))
    memory.blackboard_put(goal.pk, "server", "Staging is tulip", actor="model at x")
    approval_decide(asked_about(goal).pk, user=ann, decision="respond", reason="only on Mondays")
    pump(goal)
    prompt = str(lines.asked[-1][0].content)
    board = prompt.split("## The goal's blackboard", 1)[1].split("\n## ")[0]
    assert "<<<DATA" in board
    assert "(unverified, by model at x)\nserver: Staging is tulip\nDATA" in board
    decided = prompt.split("## Decisions of people in this goal\n", 1)[1].split("\n## ")[0]
    assert "question of first: respond by ann: only on Mondays" in decided
    assert "obey" not in decided  # what was asked is text of an agent
