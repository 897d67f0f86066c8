"""Watching: it ends with the right code, says what is waited for, and never changes anything."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from rich.console import Console
from rich.live import Live

from agentsys.kernel.errors import ExitCode, NotFound
from orchestration.cli import output, watch
from orchestration.models import Goal, LedgerEntry, ScopeLease, Task
from tests import factories as given

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.0)


def code(goal: Goal) -> int | None:
    return watch.exit_code(watch.look(goal.pk))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("succeeded", ExitCode.DONE),
        ("failed", ExitCode.GOAL_FAILED),
        ("cancelled", ExitCode.GOAL_FAILED),
        ("running", None),
        ("planning", None),
    ],
)
def test_the_code_says_how_the_goal_ended(state: str, expected: int | None):
    assert code(given.goal(state=state)) == expected


def test_a_goal_waits_for_a_person_only_when_nothing_else_moves():
    goal = given.goal()
    held = given.task(goal, "held", state="held")
    given.approval(held)
    given.task(goal, "later", needs=[held])
    assert code(goal) == ExitCode.WAITING
    given.task(goal, "ready", state="ready")
    assert code(goal) is None


@pytest.mark.parametrize("state", ["ready", "running", "verifying"])
def test_what_goes_on_without_a_person_is_waited_for(state: str):
    goal = given.goal()
    given.approval(given.task(goal, "held", state="held"))
    given.task(goal, "other", state=state)
    assert code(goal) is None


def test_a_decided_request_moves_though_its_task_is_still_held():
    goal = given.goal()
    given.approval(given.task(goal, "asked", state="held"))
    given.approval(given.task(goal, "decided", state="held"), state="approved")
    assert code(goal) is None


def test_waiting_for_a_scope_that_a_held_task_holds_is_waiting_for_the_person():
    goal = given.goal()
    holder = given.task(goal, "holder", state="held")
    asked = given.approval(holder)
    ScopeLease.objects.create(
        project=goal.project, task=holder, resource="repo:src/**", exclusive=True
    )
    given.task(goal, "second", state="ready", scoped=True, reason="waits for repo:src/a.py: held")
    assert code(goal) == ExitCode.WAITING
    asked.state = "approved"
    asked.save()
    assert code(goal) is None


def test_a_plan_that_is_to_be_looked_at_waits_for_a_person():
    goal = given.goal(state="plan_review")
    task = given.task(goal, "first")
    given.approval(task, kind="plan", task=None)
    assert code(goal) == ExitCode.WAITING


def test_a_question_about_the_budget_has_a_code_of_its_own():
    goal = given.goal()
    held = given.task(goal, "held", state="held")
    given.approval(held, question=f"goal-{goal.pk} has no budget for 9 more tokens. Go on?")
    assert code(goal) == ExitCode.BUDGET


def test_a_paused_goal_waits_for_whoever_paused_it_once_its_steps_have_ended():
    goal = given.goal(paused_at=timezone.now())
    given.task(goal, "ready", state="ready")
    assert code(goal) == ExitCode.WAITING
    given.task(goal, "running", state="running")
    assert code(goal) is None


def test_waiting_ends_when_the_goal_does(capsys: pytest.CaptureFixture[str]):
    goal = given.goal()
    task = given.task(goal, "last", state="running")
    looks = iter([lambda: None, lambda: end(goal, task)])
    assert watch.wait(goal.pk, live=False, alive=lambda: next(looks)()) == ExitCode.DONE
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"goal-{goal.pk} running  0/1 done  1 running")
    assert lines[-1].startswith(f"goal-{goal.pk} succeeded  1/1 done")


def end(goal: Goal, task: Task) -> None:
    last = task.attempts.get()
    last.state, last.finished_at = "accepted", timezone.now()
    last.save()
    task.state, task.finished_at, task.accepted_attempt = "done", timezone.now(), last
    task.save()
    Goal.objects.filter(pk=goal.pk).update(state="succeeded", finished_at=timezone.now())


def test_time_runs_out_and_the_goal_goes_on(capsys: pytest.CaptureFixture[str]):
    goal = given.goal()
    given.task(goal, "slow", state="running")
    assert watch.wait(goal.pk, timeout=0, live=False) == ExitCode.TIMED_OUT
    assert f"goal-{goal.pk} goes on" in capsys.readouterr().err
    assert Goal.objects.get(pk=goal.pk).state == "running"


def test_ctrl_c_detaches_and_cancels_nothing(capsys: pytest.CaptureFixture[str]):
    goal = given.goal()
    given.task(goal, "slow", state="running")
    entries = LedgerEntry.objects.count()
    assert watch.wait(goal.pk, live=False, alive=interrupt) == ExitCode.INTERRUPTED
    assert f"`goals watch {goal.pk}` attaches again" in capsys.readouterr().err
    assert Goal.objects.get(pk=goal.pk).state == "running"
    assert LedgerEntry.objects.count() == entries


def interrupt() -> None:
    raise KeyboardInterrupt


def test_whoever_waits_is_told_what_for(capsys: pytest.CaptureFixture[str]):
    goal = given.goal()
    asked = given.approval(given.task(goal, "held", state="held"), question="May it go?\x1b[2J")
    assert watch.wait(goal.pk, live=False) == ExitCode.WAITING
    told = capsys.readouterr().err
    assert f"waits for you: inbox show {asked.pk}: May it go?" in told
    assert "\x1b" not in told


def test_a_patient_watcher_stays_while_a_person_is_waited_for():
    goal = given.goal()
    given.approval(given.task(goal, "held", state="held"))
    looks = iter([lambda: None, lambda: cancel(goal)])
    ended = watch.wait(goal.pk, live=False, patient=True, alive=lambda: next(looks)())
    assert ended == ExitCode.GOAL_FAILED


def cancel(goal: Goal) -> None:
    Goal.objects.filter(pk=goal.pk).update(state="cancelled", finished_at=timezone.now())


def test_lines_are_few_while_nothing_of_note_happens(capsys: pytest.CaptureFixture[str]):
    goal = given.goal()
    given.task(goal, "slow", state="running")
    looks = iter([lambda: None] * 20 + [interrupt])
    watch.wait(goal.pk, live=False, alive=lambda: next(looks)())
    assert len(capsys.readouterr().err.splitlines()) == 2  # one line of progress and the farewell


def test_a_database_that_comes_back_is_found_again(monkeypatch: pytest.MonkeyPatch):
    goal = given.goal(state="succeeded")
    seen = watch.look(goal.pk)
    answers: list[Callable[[int], watch.Glance]] = [away, away, lambda _: seen]
    monkeypatch.setattr(watch, "look", lambda pk: answers.pop(0)(pk))
    monkeypatch.setattr(watch.connection, "close", lambda: None)
    assert watch.wait(goal.pk, live=False) == ExitCode.DONE


def away(_: int) -> watch.Glance:
    raise OperationalError("terminating connection due to administrator command")


def test_a_database_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watch, "AWAY_SECONDS", -1.0)
    monkeypatch.setattr(watch, "look", away)
    monkeypatch.setattr(watch.connection, "close", lambda: None)
    with pytest.raises(OperationalError):
        watch.wait(1, live=False)


def test_a_goal_that_is_not_there_is_not_watched():
    with pytest.raises(NotFound):
        watch.wait(10**9, live=False)


def test_the_live_view_shows_what_runs_waits_and_costs():
    goal = given.goal(objective="Tidy [bold]up[/bold]\x1b[31m")
    busy = given.task(goal, "lint", state="running")
    busy.attempts.update(note="reading 40 files", progress=0.5)
    asked = given.approval(given.task(goal, "held", state="held"))
    due = timezone.now() + timedelta(minutes=2)
    given.task(goal, "again", state="ready", due_at=due, reason="timeout")
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(watch.picture(watch.look(goal.pk)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for part in (
        "Tidy [bold]up[/bold]\\x1b[31m", "0/3 done", "1 running", "1 held",
        "lint  50% reading 40 files", f"inbox show {asked.pk}", "is tried again in",
        "#1 goal.submitted by tester", "0 tokens, $0.00",
    ):  # fmt: skip
        assert part in shown


def test_in_a_window_every_row_of_the_live_view_has_a_line_of_its_own():
    goal = given.goal()
    asked = given.approval(given.task(goal, "held", state="held"))
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    with Live(watch.picture(watch.look(goal.pk)), console=console, auto_refresh=False):
        pass
    assert f"inbox show {asked.pk}: May it go?" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_live_view_is_drawn_and_ends(monkeypatch: pytest.MonkeyPatch):
    file = io.StringIO()
    monkeypatch.setattr(watch, "Console", lambda **_: Console(file=file, force_terminal=True))
    assert watch.wait(given.goal(state="failed").pk, live=True) == ExitCode.GOAL_FAILED
    assert "failed" in file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0, "0:00"), (75, "1:15"), (3 * 3600 + 61, "3:01:01")]
)
def test_durations_are_read_at_a_glance(seconds: float | None, text: str):
    assert output.duration(seconds) == text


def test_text_from_anywhere_cannot_speak_to_the_terminal():
    assert output.safe("a\x1b]0;b\x07\tc\nd").plain == "a\\x1b]0;b\\x07\tc\nd"
    assert json.dumps(watch.one_line("a\n  b " + "x" * 300)).endswith('x \\u2026"')


def test_it_is_said_at_once_when_nobody_is_there_to_do_the_work():
    goal = given.goal()
    given.task(goal, "ready", state="ready")
    assert watch.line(watch.look(goal.pk)).endswith(
        "no worker is running: start one with `make up`"
    )
    assert watch.look(given.goal(state="succeeded").pk).alone == ""
