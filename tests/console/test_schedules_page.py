"""Schedules in the console: made by those who may submit goals, with problems at their fields."""

from __future__ import annotations

import pytest
from django.urls import reverse

from orchestration.models import Goal, Schedule
from orchestration.services.schedules import schedule_set
from tests.api.people import person, project
from tests.console.test_pages import console

pytestmark = pytest.mark.django_db
LIST = reverse("admin:agentsys_orchestration_schedule_changelist")
ADD = reverse("admin:agentsys_orchestration_schedule_add")


def form(**fields):
    return {
        "project": project().pk,
        "name": "morning",
        "cron": "0 7 * * 1-5",
        "time_zone": "Europe/Berlin",
        "objective": "Look after the servers",
        "playbook": "ops-checks",
        "params": "{}",
        "repository": "",
        "priority": "0",
        "enabled": "on",
        **fields,
    }


def made(where="alpha"):
    project(where)
    values = {"cron": "0 7 * * *", "objective": f"Tidy {where}", "playbook": "ops-checks"}
    return schedule_set(where, "morning", values, actor="ana")


def test_an_operator_makes_a_schedule_and_sees_when_it_comes():
    client = console(person("olga", "operator", is_staff=True))
    answer = client.post(ADD, form(), follow=True)
    row = Schedule.objects.get()
    assert (row.created_by, row.enabled, row.due_at is not None) == ("olga", True, True)
    assert "At 07:00" in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cron", "7 * *", "expected minute, hour, day, month, weekday"),
        ("time_zone", "Mars/Olympus", "is no time zone"),
        ("params", "[1]", "Expected an object"),
        ("params", "{", "Enter a valid JSON"),
    ],
)
def test_a_wrong_value_is_said_at_its_field_and_nothing_is_written(field, value, said):
    client = console(person("olga", "operator", is_staff=True))
    answer = client.post(ADD, form(**{field: value}))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not Schedule.objects.exists()


def test_a_name_that_is_taken_is_said():
    made()
    answer = console(person("olga", "operator", is_staff=True)).post(ADD, form())
    assert "already exists" in answer.content.decode()
    assert Schedule.objects.count() == 1


def test_a_viewer_looks_and_changes_nothing():
    row = made()
    client = console(person("vera", "viewer", is_staff=True))
    assert "Tidy alpha" in client.get(LIST).content.decode()
    assert client.get(ADD).status_code == 403
    url = reverse("admin:agentsys_orchestration_schedule_change", args=[row.pk])
    assert client.post(url, form(objective="mine")).status_code == 403
    client.post(LIST, {"action": "run_now", "_selected_action": [row.pk]})
    assert not Goal.objects.exists()
    row.refresh_from_db()
    assert row.objective == "Tidy alpha"


def test_schedules_of_other_projects_do_not_exist():
    other = made("beta")
    client = console(person("olga", "operator", is_staff=True))
    assert "Tidy beta" not in client.get(LIST).content.decode()
    client.post(LIST, {"action": "run_now", "_selected_action": [other.pk]})
    assert not Goal.objects.exists()
    answer = client.post(ADD, form(project=other.project_id, name="mine"))
    assert "not one of the available choices" in answer.content.decode()


def test_actions_submit_now_and_switch_off():
    row = made()
    client = console(person("olga", "operator", is_staff=True))
    client.post(LIST, {"action": "run_now", "_selected_action": [row.pk]})
    assert Goal.objects.get().objective
    client.post(LIST, {"action": "switch_off", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert (row.enabled, row.due_at) == (False, None)
