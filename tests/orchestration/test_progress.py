"""How far, how fast, how long: counted, not guessed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from orchestration.models import Attempt, Goal, Task
from orchestration.services.progress import Pace, eta_of, progress_of, running_now
from tests import factories as given

pytestmark = pytest.mark.django_db


def accepted(goal: Goal, count: int, *, seconds: float = 10, agent: str = "noop") -> None:
    """Tasks that took `seconds` each, one after the other, the last ending now."""
    now = timezone.now()
    for number in range(count):
        ended = now - timedelta(seconds=seconds * (count - 1 - number))
        begun = ended - timedelta(seconds=seconds)
        done = given.task(
            goal,
            f"{agent}-{number}",
            state="done",
            agent=agent,
            started_at=begun,
            finished_at=ended,
        )
        Attempt.objects.filter(task=done).update(
            started_at=begun, reported_at=ended, finished_at=ended
        )


def test_every_state_is_counted_and_superseded_tasks_are_not():
    goal = given.goal()
    states = ("blocked", "ready", "running", "verifying", "held", "done", "failed", "cancelled")
    for state in (*states, "superseded"):
        given.task(goal, state, state=state)
    seen = progress_of(goal.pk)
    assert seen.total == len(states)
    assert {seen.blocked, seen.ready, seen.running, seen.verifying, seen.waiting} == {1}
    assert {seen.done, seen.failed, seen.cancelled} == {1}
    assert seen.fraction == pytest.approx(3 / 8)


def test_a_goal_without_tasks_has_no_fraction_to_make_up():
    seen = progress_of(given.goal(state="planning").pk)
    assert (seen.total, seen.fraction, seen.rate_per_minute, seen.eta_seconds) == (0, 0, None, None)


def test_nothing_is_estimated_before_five_tasks_are_done():
    goal = given.goal()
    accepted(goal, 4)
    given.task(goal, "left", state="ready")
    assert progress_of(goal.pk).rate_per_minute is None
    assert progress_of(goal.pk).eta_seconds is None


def test_what_is_left_costs_what_its_agent_took_so_far():
    goal = given.goal()
    accepted(goal, 5, seconds=10)
    for number in range(3):
        given.task(goal, f"left-{number}", state="blocked")
    seen = progress_of(goal.pk)
    assert seen.rate_per_minute == pytest.approx(6, rel=0.1)
    assert seen.eta_seconds == pytest.approx(30, rel=0.1)


def test_agents_are_told_apart_and_work_at_once_counts():
    pace = Pace(
        samples=6, mean={"": 4, "slow": 10, "fast": 1}, under_way={"slow": 6}, concurrency=2
    )
    rows = [
        ("running", "slow", 1),
        ("ready", "fast", 2),
        ("blocked", "new", 1),
        ("done", "slow", 9),
    ]
    assert eta_of(pace, rows) == pytest.approx((10 - 6 + 2 * 1 + 4) / 2)


def test_nobody_estimates_how_long_a_person_takes():
    pace = Pace(samples=9, mean={"": 4}, under_way={}, concurrency=1)
    assert eta_of(pace, [("held", "noop", 3), ("done", "noop", 9)]) is None


def test_a_pause_does_not_slow_the_rate():
    goal = given.goal()
    accepted(goal, 5, seconds=10)
    Task.objects.filter(goal=goal).update(started_at=timezone.now() - timedelta(seconds=110))
    Goal.objects.filter(pk=goal.pk).update(paused_seconds=60)
    assert progress_of(goal.pk).rate_per_minute == pytest.approx(6, rel=0.1)


def test_a_finished_goal_keeps_its_rate_and_has_no_estimate():
    goal = given.goal(state="succeeded")
    accepted(goal, 5)
    seen = progress_of(goal.pk, finished_at=goal.finished_at)
    assert seen.rate_per_minute is not None
    assert seen.eta_seconds is None


def test_what_runs_is_told_with_its_note():
    goal = given.goal()
    task = given.task(goal, "lint", state="running", agent="surveyor")
    Attempt.objects.filter(task=task).update(note="reading 40 files", progress=0.5)
    assert running_now(goal.pk)[0] | {"started_at": None} == {
        "task__key": "lint", "task__agent": "surveyor", "note": "reading 40 files",
        "progress": 0.5, "started_at": None, "number": 1,
    }  # fmt: skip
