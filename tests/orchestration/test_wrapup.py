"""A goal that is over is wrapped up once, whoever does it, and not while it goes on again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from agentsys.kernel import crashpoints
from memory import services as memory
from memory.models import Playbook
from orchestration.models import Goal
from orchestration.services import wrapup
from orchestration.services.advance import advance
from orchestration.services.goals import goal_retry, goal_submit
from orchestration.services.running import serve
from orchestration.services.sweep import over
from orchestration.services.wrapup import WRAP_SECONDS, wrap_up
from tests.orchestration.pump import at_once, node, submit

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "say"


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    crashpoints.arm(None)


def ended(*, fails: bool = False) -> Goal:
    """A goal of the playbook NAME that has just ended."""
    if not fails:
        definition = {
            "name": NAME, "version": 1, "description": "d", "objective": "o", "parameters": {},
            "phases": [{"name": "p", "tasks": [node("a")]}],
        }  # fmt: skip
        memory.playbook_save(NAME, definition, namespace="", origin="written")
        goal = goal_submit(objective="o", playbook=NAME, actor="tester")
    else:
        judged = {"verify": ["schema", "semantic"], "acceptance": ["output.none exists"]}
        goal = submit(node("a", retry={"attempts_max": 1}) | judged)
    while serve():
        pass
    advance(goal.pk)
    goal.refresh_from_db()
    assert goal.finished_at is not None
    return goal


def counted() -> int:
    return sum(Playbook.objects.filter(name=NAME).values_list("successes", flat=True))


def work_folder(goal: Goal) -> Path:
    return Path(settings.AGENTSYS.home) / "work" / f"goal-{goal.pk}"


def test_two_at_once_count_the_playbook_once() -> None:
    goal = ended()
    assert at_once([lambda: wrap_up(goal.pk)] * 2) == [None, None]
    wrap_up(goal.pk)
    goal.refresh_from_db()
    assert (counted(), goal.publish_due_at) == (1, None)


@pytest.mark.parametrize("writes", ["before", "after"])
def test_who_dies_in_it_has_it_for_a_minute_and_then_another_does_it_once(writes: str) -> None:
    goal = ended()

    class Died(BaseException):
        pass

    def die(point: str) -> None:
        if point == ("C18" if writes == "before" else "C10"):
            raise Died

    crashpoints.arm(die)
    with pytest.raises(Died):
        wrap_up(goal.pk)
    crashpoints.arm(None)
    assert (counted(), over()) == (0, [])
    wrap_up(goal.pk)
    assert counted() == 0  # it is still the first one's
    Goal.objects.filter(pk=goal.pk).update(
        publish_due_at=timezone.now() - timedelta(seconds=WRAP_SECONDS)
    )
    assert over() == [goal.pk]
    wrap_up(goal.pk)
    assert (counted(), over()) == (1, [])


def test_a_goal_that_is_taken_up_again_meanwhile_keeps_its_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goal = ended(fails=True)
    work_folder(goal).mkdir(parents=True)
    remember = wrapup.remember

    def meanwhile(one: Any) -> None:
        remember(one)
        goal_retry(goal.pk, actor="ann")

    monkeypatch.setattr(wrapup, "remember", meanwhile)
    wrap_up(goal.pk)
    assert work_folder(goal).is_dir()
    monkeypatch.undo()
    while serve():
        pass
    advance(goal.pk)
    wrap_up(goal.pk)
    assert not work_folder(goal).exists()
    goal.refresh_from_db()
    assert (goal.state, goal.publish_due_at) == ("failed", None)
