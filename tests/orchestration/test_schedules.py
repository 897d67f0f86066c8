"""Goals that come again: each due time gives one goal, whatever dies, and a time that gives none says why."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django.utils import timezone

from agentsys.kernel import crashpoints
from agentsys.kernel.errors import BadInput, NoSuchName
from orchestration.domain.cron import cron_problems, explained, next_time
from orchestration.models import Goal, Project, Schedule
from orchestration.services.schedules import (
    schedule_change,
    schedule_fire,
    schedule_run,
    schedule_set,
    schedules_due,
)

VALUES: dict[str, Any] = {
    "cron": "0 7 * * 1-5",
    "objective": "Look after the servers",
    "playbook": "ops-checks",
}
FRIDAY = datetime(2026, 3, 27, 12, tzinfo=UTC)  # clocks go forward in Berlin on Sunday


class Died(BaseException):
    """As `kill -9` would have it: nothing catches it."""


@pytest.mark.parametrize(
    ("cron", "zone", "due"),
    [
        ("0 7 * * 1-5", "UTC", datetime(2026, 3, 30, 7, tzinfo=UTC)),
        ("0 7 * * 1-5", "Europe/Berlin", datetime(2026, 3, 30, 5, tzinfo=UTC)),
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 1, 30, tzinfo=UTC)),
        ("0 0 31 * *", "UTC", datetime(2026, 3, 31, tzinfo=UTC)),
        ("*/15 * * * *", "UTC", FRIDAY + timedelta(minutes=15)),
    ],
)
def test_the_next_time_is_after_now_in_the_schedules_own_zone(
    cron: str, zone: str, due: datetime
) -> None:
    assert next_time(cron, zone, FRIDAY) == due


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("7 * *", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("0 7 * * 1-5 2026", "UTC", "cron"),
        ("0 7 * * *", "Mars/Olympus", "time_zone"),
        ("0 7 * * *", "../../etc/passwd", "time_zone"),
    ],
)
def test_what_is_no_time_is_said_at_its_field(cron: str, zone: str, field: str) -> None:
    assert list(cron_problems(cron, zone)) == [field]
    assert cron_problems("0 7 * * 1-5", "Europe/Berlin") == {}


def test_times_are_told_in_words() -> None:
    assert "07:00" in explained("0 7 * * 1-5")
    assert explained("nonsense") == ""


@pytest.fixture
def row(db: None) -> Schedule:
    Project.objects.get_or_create(name="default")
    return schedule_set("default", "morning", VALUES, actor="ana")


def due(row: Schedule, **fields: Any) -> Schedule:
    Schedule.objects.filter(pk=row.pk).update(due_at=F("created_at"), **fields)
    row.refresh_from_db()
    return row


def test_what_is_due_becomes_one_goal_and_waits_for_its_next_time(row: Schedule) -> None:
    assert schedules_due() == []
    due(row)
    assert schedules_due() == [row.pk]
    schedule_fire(row.pk)
    schedule_fire(row.pk)  # a second sweep finds nothing due
    goal = Goal.objects.get()
    row.refresh_from_db()
    assert (row.last_goal, row.problem) == (goal, "")
    assert row.due_at is not None and row.due_at > row.created_at
    assert goal.ledger.order_by("seq").first().actor == "schedule:morning"


@pytest.mark.parametrize("change", [{"priority": 5}, {"objective": "x"}, {"name": "early"}])
def test_a_change_in_the_minute_that_is_due_does_not_skip_it(
    row: Schedule, change: dict[str, Any]
) -> None:
    waits = due(row).due_at
    assert schedule_change(row.pk, change).due_at == waits
    assert schedules_due() == [row.pk]
    schedule_fire(row.pk)
    assert Goal.objects.count() == 1


@pytest.mark.parametrize("change", [{"cron": "0 8 * * *"}, {"time_zone": "Europe/Berlin"}])
def test_other_times_count_from_now_on(row: Schedule, change: dict[str, Any]) -> None:
    due(row)
    assert schedule_change(row.pk, change).due_at > timezone.now()
    assert schedules_due() == []


def test_what_was_off_counts_from_when_it_is_on_again(row: Schedule) -> None:
    due(row)
    assert schedule_change(row.pk, {"enabled": False}).due_at is None
    assert schedule_change(row.pk, {"enabled": True}).due_at > timezone.now()


def test_a_sweep_that_dies_after_submitting_submits_nothing_twice(row: Schedule) -> None:
    due(row)

    def die(name: str) -> None:
        if name == "C22":
            raise Died

    crashpoints.arm(die)
    try:
        with pytest.raises(Died):
            schedule_fire(row.pk)
    finally:
        crashpoints.arm(None)
    assert schedules_due() == [row.pk]
    schedule_fire(row.pk)
    row.refresh_from_db()
    assert row.last_goal == Goal.objects.get()
    assert schedules_due() == []


def test_while_the_last_goal_is_under_way_none_is_added_unless_wanted(row: Schedule) -> None:
    first = schedule_run(row.pk, actor="ana")
    Goal.objects.filter(pk=first.pk).update(state="running", finished_at=None)
    schedule_fire(due(row).pk)
    row.refresh_from_db()
    assert row.problem == f"{first} of the last time was still under way"
    schedule_fire(due(row, overlap=True).pk)
    assert Goal.objects.count() == 2


def test_a_goal_that_cannot_be_submitted_leaves_a_problem_and_the_next_time(row: Schedule) -> None:
    schedule_fire(due(row, playbook="gone").pk)
    row.refresh_from_db()
    assert not Goal.objects.exists()
    assert "gone" in row.problem
    assert schedules_due() == []


def test_what_is_switched_off_does_not_come(row: Schedule) -> None:
    row = schedule_set("default", "morning", {}, enabled=False, actor="ana")
    assert row.due_at is None
    schedule_fire(row.pk)
    assert not Goal.objects.exists()


def test_bad_values_are_named_and_nothing_is_written(db: None) -> None:
    Project.objects.get_or_create(name="default")
    with pytest.raises(BadInput, match="objective is empty"):
        schedule_set("default", "x", {"cron": "0 7 * * *", "objective": " "}, actor="ana")
    with pytest.raises(NoSuchName):
        schedule_set("nowhere", "x", VALUES, actor="ana")
    assert not Schedule.objects.exists()


def test_the_command_makes_lists_switches_and_removes(
    db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Project.objects.get_or_create(name="default")

    def said(*argv: str) -> Any:
        call_command("schedules", *argv, "--json")
        return json.loads(capsys.readouterr().out)

    made = said("set", "nightly", "--cron", "0 2 * * *", "--objective", "Tidy", "--priority", "3")
    assert (made["name"], made["priority"], made["enabled"]) == ("nightly", 3, True)
    assert said("off", "nightly")["due_at"] is None
    assert said("on", "nightly")["due_at"]
    assert [row["name"] for row in said("list")["schedules"]] == ["nightly"]
    assert said("remove", "nightly")["id"] == made["id"]
    assert said("list") == {"schedules": []}
